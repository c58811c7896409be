"""covidnet.evaluation.names."""

POOLED = {  # as Keras counts them
    "true_positives": "true positives",
    "false_positives": "false positives",
    "true_negatives": "true negatives",
    "false_negatives": "false negatives",
    "precision": "precision",
    "recall": "recall",
}
OVERALL = {
    "loss": "loss",
    "weighted_loss": "weighted loss",
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "mcc": "Matthews correlation",
    "macro_f1": "macro F1",
    "brier": "Brier score",
    "ece": "calibration error",
    **POOLED,
}
PER_CLASS = {
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "ppv": "PPV (precision)",
    "ppv_at_prevalence_0.01": "PPV if 1 % have it",
    "ppv_at_prevalence_0.1": "PPV if 10 % have it",
    "npv": "NPV",
    "auroc": "AUROC",
    "average_precision": "average precision",
    "support": "images",
}
