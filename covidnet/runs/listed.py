"""The classes that a configuration file may name, one by one, and the arguments of each that it may set.

A file may be a stranger's, and to name a class is to run code. So what is not listed here is refused: a class or an
argument that a new release brings, too. No argument listed here takes a function or a class, opens a connection or
listens; those of ``VALUES`` take what matches alone.
"""

import re

# fmt: off
_ARGUMENTS = {
    "pytorch_lightning.Trainer":
        "accelerator strategy devices num_nodes precision logger callbacks fast_dev_run max_epochs min_epochs "
        "max_steps min_steps max_time limit_train_batches limit_val_batches limit_test_batches limit_predict_batches "
        "overfit_batches val_check_interval check_val_every_n_epoch num_sanity_val_steps log_every_n_steps "
        "enable_checkpointing enable_progress_bar enable_model_summary accumulate_grad_batches gradient_clip_val "
        "gradient_clip_algorithm deterministic benchmark inference_mode use_distributed_sampler profiler "
        "detect_anomaly barebones sync_batchnorm reload_dataloaders_every_n_epochs default_root_dir "
        "enable_autolog_hparams",
    "torch.optim.ASGD": "lr lambd alpha t0 weight_decay foreach maximize differentiable capturable",
    "torch.optim.Adadelta": "lr rho eps weight_decay foreach capturable maximize differentiable",
    "torch.optim.Adafactor": "lr beta2_decay eps d weight_decay foreach maximize",
    "torch.optim.Adagrad":
        "lr lr_decay weight_decay initial_accumulator_value eps foreach maximize differentiable fused",
    "torch.optim.Adam":
        "lr betas eps weight_decay amsgrad foreach maximize capturable differentiable fused decoupled_weight_decay",
    "torch.optim.AdamW": "lr betas eps weight_decay amsgrad maximize foreach capturable differentiable fused",
    "torch.optim.Adamax": "lr betas eps weight_decay foreach maximize differentiable capturable",
    "torch.optim.LBFGS": "lr max_iter max_eval tolerance_grad tolerance_change history_size line_search_fn maximize",
    "torch.optim.Muon": "lr weight_decay momentum nesterov ns_coefficients eps ns_steps adjust_lr_fn",
    "torch.optim.NAdam":
        "lr betas eps weight_decay momentum_decay decoupled_weight_decay foreach maximize capturable differentiable",
    "torch.optim.RAdam":
        "lr betas eps weight_decay decoupled_weight_decay foreach maximize capturable differentiable",
    "torch.optim.RMSprop": "lr alpha eps weight_decay momentum centered capturable foreach maximize differentiable",
    "torch.optim.Rprop": "lr etas step_sizes capturable foreach maximize differentiable",
    "torch.optim.SGD": "lr momentum dampening weight_decay nesterov maximize foreach differentiable fused",
    "torch.optim.SparseAdam": "lr betas eps maximize",
    "torch.optim.lr_scheduler.ConstantLR": "factor total_iters last_epoch",
    "torch.optim.lr_scheduler.CosineAnnealingLR": "T_max eta_min last_epoch",
    "torch.optim.lr_scheduler.CosineAnnealingWarmRestarts": "T_0 T_mult eta_min last_epoch",
    "torch.optim.lr_scheduler.CyclicLR":
        "base_lr max_lr step_size_up step_size_down mode gamma scale_mode cycle_momentum base_momentum max_momentum "
        "last_epoch",
    "torch.optim.lr_scheduler.ExponentialLR": "gamma last_epoch",
    "torch.optim.lr_scheduler.LinearLR": "start_factor end_factor total_iters last_epoch",
    "torch.optim.lr_scheduler.MultiStepLR": "milestones gamma last_epoch",
    "torch.optim.lr_scheduler.OneCycleLR":
        "max_lr total_steps epochs steps_per_epoch pct_start anneal_strategy cycle_momentum base_momentum "
        "max_momentum div_factor final_div_factor three_phase last_epoch",
    "torch.optim.lr_scheduler.PolynomialLR": "total_iters power last_epoch",
    "torch.optim.lr_scheduler.ReduceLROnPlateau": "mode factor patience threshold threshold_mode cooldown min_lr eps",
    "torch.optim.lr_scheduler.StepLR": "step_size gamma last_epoch",
    "torchmetrics.Accuracy": "task threshold num_classes num_labels average multidim_average top_k ignore_index",
    "torchmetrics.AUROC": "task thresholds num_classes num_labels average max_fpr ignore_index",
    "torchmetrics.AveragePrecision": "task thresholds num_classes num_labels average ignore_index",
    "torchmetrics.CalibrationError": "task n_bins norm num_classes ignore_index",
    "torchmetrics.CohenKappa": "task threshold num_classes weights ignore_index",
    "torchmetrics.ConfusionMatrix": "task threshold num_classes num_labels normalize ignore_index",
    "torchmetrics.ExactMatch": "task threshold num_classes num_labels multidim_average ignore_index",
    "torchmetrics.F1Score":
        "task threshold num_classes num_labels average multidim_average top_k ignore_index zero_division",
    "torchmetrics.FBetaScore":
        "task beta threshold num_classes num_labels average multidim_average top_k ignore_index zero_division",
    "torchmetrics.HammingDistance":
        "task threshold num_classes num_labels average multidim_average top_k ignore_index",
    "torchmetrics.JaccardIndex": "task threshold num_classes num_labels average ignore_index",
    "torchmetrics.MatthewsCorrCoef": "task threshold num_classes num_labels ignore_index",
    "torchmetrics.NegativePredictiveValue":
        "task threshold num_classes num_labels average multidim_average top_k ignore_index",
    "torchmetrics.Precision": "task threshold num_classes num_labels average multidim_average top_k ignore_index",
    "torchmetrics.PrecisionRecallCurve": "task thresholds num_classes num_labels ignore_index",
    "torchmetrics.ROC": "task thresholds num_classes num_labels ignore_index",
    "torchmetrics.Recall": "task threshold num_classes num_labels average multidim_average top_k ignore_index",
    "torchmetrics.Specificity": "task threshold num_classes num_labels average multidim_average top_k ignore_index",
    "torchmetrics.StatScores": "task threshold num_classes num_labels average multidim_average top_k ignore_index",
    "pytorch_lightning.callbacks.Callback": "",
    "pytorch_lightning.callbacks.BackboneFinetuning":
        "unfreeze_backbone_at_epoch backbone_initial_ratio_lr backbone_initial_lr should_align initial_denom_lr "
        "train_bn verbose rounding",
    "pytorch_lightning.callbacks.DeviceStatsMonitor": "cpu_stats",
    "pytorch_lightning.callbacks.EMAWeightAveraging":
        "use_buffers decay update_every_n_steps update_starting_at_step update_starting_at_epoch",
    "pytorch_lightning.callbacks.EarlyStopping":
        "monitor min_delta patience verbose mode strict check_finite stopping_threshold divergence_threshold "
        "check_on_train_epoch_end log_rank_zero_only",
    "pytorch_lightning.callbacks.GradientAccumulationScheduler": "scheduling",
    "pytorch_lightning.callbacks.LearningRateMonitor": "logging_interval log_momentum log_weight_decay",
    "pytorch_lightning.callbacks.ModelCheckpoint":
        "filename monitor verbose save_last save_top_k save_on_exception save_weights_only mode "
        "auto_insert_metric_name every_n_train_steps train_time_interval every_n_epochs save_on_train_epoch_end "
        "enable_version_counter",
    "pytorch_lightning.callbacks.ModelSummary": "max_depth",
    "pytorch_lightning.callbacks.RichModelSummary": "max_depth",
    "pytorch_lightning.callbacks.RichProgressBar": "refresh_rate leave",
    "pytorch_lightning.callbacks.StochasticWeightAveraging":
        "swa_lrs swa_epoch_start annealing_epochs annealing_strategy",
    "pytorch_lightning.callbacks.TQDMProgressBar": "refresh_rate process_position leave",
    "pytorch_lightning.callbacks.Timer": "duration interval verbose",
    "pytorch_lightning.loggers.CSVLogger": "save_dir name prefix flush_logs_every_n_steps",
    "pytorch_lightning.loggers.TensorBoardLogger": "save_dir name log_graph default_hp_metric prefix sub_dir",
    "pytorch_lightning.profilers.AdvancedProfiler": "filename line_count_restriction dump_stats",
    "pytorch_lightning.profilers.PassThroughProfiler": "filename",
    "pytorch_lightning.profilers.PyTorchProfiler":
        "filename group_by_input_shapes emit_nvtx export_to_chrome row_limit sort_by_key record_module_names",
    "pytorch_lightning.profilers.SimpleProfiler": "filename extended",
    "pytorch_lightning.strategies.DDPStrategy": "process_group_backend start_method model_averaging_period",
    "pytorch_lightning.strategies.SingleDeviceStrategy": "device",
}
# fmt: on
LISTED = {path: tuple(arguments.split()) for path, arguments in _ARGUMENTS.items()}
# Known, and not to be named by a file. The test asks of each public class of these packages to stand here or above.
REFUSED = {
    "pytorch_lightning.callbacks.BaseFinetuning": "is for subclasses",
    "pytorch_lightning.callbacks.BasePredictionWriter": "is for subclasses",
    "pytorch_lightning.callbacks.BatchSizeFinder": "sets an attribute that its argument names, and writes a checkpoint",
    "pytorch_lightning.callbacks.Checkpoint": "is for subclasses",
    "pytorch_lightning.callbacks.LambdaCallback": "runs functions",
    "pytorch_lightning.callbacks.LearningRateFinder": "sets an attribute that its argument names, and writes a file",
    "pytorch_lightning.callbacks.ModelPruning": "runs a function, or one that a text names",
    "pytorch_lightning.callbacks.OnExceptionCheckpoint": "writes where its argument says",
    "pytorch_lightning.callbacks.ProgressBar": "is for subclasses",
    "pytorch_lightning.callbacks.SpikeDetection": "writes where its argument says",
    "pytorch_lightning.callbacks.ThroughputMonitor": "runs functions",
    "pytorch_lightning.callbacks.WeightAveraging": "hands on whatever it is given, functions among it",
    "pytorch_lightning.loggers.CometLogger": "connects",
    "pytorch_lightning.loggers.LitLogger": "connects",
    "pytorch_lightning.loggers.Logger": "is for subclasses",
    "pytorch_lightning.loggers.MLFlowLogger": "connects",
    "pytorch_lightning.loggers.WandbLogger": "connects",
    "pytorch_lightning.profilers.Profiler": "is for subclasses",
    "pytorch_lightning.profilers.XLAProfiler": "listens on a port",
    "pytorch_lightning.strategies.DeepSpeedStrategy": "reads a configuration of its own, and writes where it says",
    "pytorch_lightning.strategies.FSDPStrategy": "takes functions that cut a model",
    "pytorch_lightning.strategies.HPUParallelStrategy": "is gone",
    "pytorch_lightning.strategies.ModelParallelStrategy": "is for models that say how they are cut",
    "pytorch_lightning.strategies.ParallelStrategy": "is for subclasses",
    "pytorch_lightning.strategies.SingleDeviceXLAStrategy": "is for a device that is not supported here",
    "pytorch_lightning.strategies.SingleHPUStrategy": "is gone",
    "pytorch_lightning.strategies.SingleTPUStrategy": "is gone",
    "pytorch_lightning.strategies.Strategy": "is for subclasses",
    "pytorch_lightning.strategies.XLAStrategy": "is for a device that is not supported here",
    "torch.optim.Optimizer": "is for subclasses",
    "torch.optim.lr_scheduler.ChainedScheduler": "takes schedulers that are built already",
    "torch.optim.lr_scheduler.LRScheduler": "is for subclasses",
    "torch.optim.lr_scheduler.LambdaLR": "runs functions",
    "torch.optim.lr_scheduler.MultiplicativeLR": "runs functions",
    "torch.optim.lr_scheduler.SequentialLR": "takes schedulers that are built already",
}
# Of torchmetrics: they wrap other metrics or functions, or measure no classes.
# fmt: off
OTHER_METRICS = (
    "BLEUScore", "BootStrapper", "CHRFScore", "CatMetric", "CharErrorRate", "ClasswiseWrapper",
    "ConcordanceCorrCoef", "CosineSimilarity", "CramersV", "CriticalSuccessIndex",
    "ErrorRelativeGlobalDimensionlessSynthesis", "ExplainedVariance", "ExtendedEditDistance", "FleissKappa",
    "HingeLoss", "KLDivergence", "KendallRankCorrCoef", "LogAUC", "LogCoshError", "MatchErrorRate", "MaxMetric",
    "MeanAbsoluteError", "MeanAbsolutePercentageError", "MeanMetric", "MeanSquaredError", "MeanSquaredLogError",
    "Metric", "MetricCollection", "MetricTracker", "MinMaxMetric", "MinMetric", "MinkowskiDistance",
    "ModifiedPanopticQuality", "MultiScaleStructuralSimilarityIndexMeasure", "MultioutputWrapper",
    "MultitaskWrapper", "NormalizedRootMeanSquaredError", "PanopticQuality", "PeakSignalNoiseRatio",
    "PearsonCorrCoef", "PearsonsContingencyCoefficient", "PermutationInvariantTraining", "Perplexity",
    "PrecisionAtFixedRecall", "R2Score", "RecallAtFixedPrecision", "RelativeAverageSpectralError",
    "RelativeSquaredError", "RetrievalFallOut", "RetrievalHitRate", "RetrievalMAP", "RetrievalMRR",
    "RetrievalNormalizedDCG", "RetrievalPrecision", "RetrievalPrecisionRecallCurve", "RetrievalRPrecision",
    "RetrievalRecall", "RetrievalRecallAtFixedPrecision", "RootMeanSquaredErrorUsingSlidingWindow", "RunningMean",
    "RunningSum", "SQuAD", "SacreBLEUScore", "ScaleInvariantSignalDistortionRatio",
    "ScaleInvariantSignalNoiseRatio", "SensitivityAtSpecificity", "SignalDistortionRatio", "SignalNoiseRatio",
    "SpearmanCorrCoef", "SpecificityAtSensitivity", "SpectralAngleMapper", "SpectralDistortionIndex",
    "StructuralSimilarityIndexMeasure", "SumMetric", "SymmetricMeanAbsolutePercentageError", "TheilsU",
    "TotalVariation", "TranslationEditRate", "TschuprowsT", "TweedieDevianceScore", "UniversalImageQualityIndex",
    "WeightedMeanAbsolutePercentageError", "WordErrorRate", "WordInfoLost", "WordInfoPreserved",
)
# fmt: on
_WORD = r"[\w+=,-][\w .+=,-]*"
_LOCAL = (r"(?!data:)(?!.*(?:://|::)).*", "a place of this machine, no URL")
VALUES = {  # an argument, wherever it stands -> what a file may give, and how to say so
    "filename": (r"(?:[\w .+=,-]|\{\w+(?::0?\d?(?:\.\d)?[dfeg]?)?\})+", "a plain name, such as best-{epoch:02d}"),
    "save_dir": (rf"(?:\./)?{_WORD}(?:/{_WORD})*/?|\.", "a folder below the one in which the command runs"),
    "name": (rf"(?:{_WORD})?", "a plain name"),
    "sub_dir": (rf"(?:{_WORD})?", "a plain name"),
    "prefix": (rf"(?:{_WORD})?", "a plain name"),
    "default_root_dir": _LOCAL,
    "ckpt_path": _LOCAL,
    "accelerator": ("auto|cpu|gpu|cuda|mps", "auto, cpu, gpu, cuda or mps"),
    "process_group_backend": ("gloo|nccl|mpi", "gloo, nccl or mpi"),
    "strategy": (
        "auto|single_device|ddp(?:_(?:spawn|fork))?(?:_find_unused_parameters_(?:true|false))?",
        "auto or ddp",
    ),
    "profiler": ("simple|advanced|pytorch", "simple, advanced or pytorch"),
}
NAMES = {"save_dir", "name", "sub_dir"}  # of folders: none that does harm on any system
FORMS = {name: (re.compile(form, re.DOTALL), told) for name, (form, told) in VALUES.items()}
# Arguments of listed classes that no file may set, and why.
REFUSED_ARGUMENTS = {
    "avg_fn": "is a function",
    "checkpoint_io": "is built of other classes",
    "cluster_environment": "says who listens where",
    "accelerator": "is an object",
    "ddp_comm_hook": "is a function",
    "ddp_comm_state": "is an object",
    "ddp_comm_wrapper": "is a function",
    "device": "is an object",
    "dirpath": "is where something is written: without it, in the run's own directory",
    "kwargs": "goes on to others",
    "lambda_func": "is a function",
    "last_epoch": "is not known",
    "model_registry": "uploads checkpoints",
    "optimizer": "is built already",
    "parallel_devices": "are objects",
    "params": "are known to the model alone",
    "plugins": "are built of other classes",
    "precision_plugin": "is built of other classes",
    "scale_fn": "is a function",
    "storage": "is what a search connects to",
    "theme": "is built of another class",
    "timeout": "is an object",
    "validate_args": "is a guard",
    "version": "names the directory of another run, perhaps",
}
SECTIONS = {  # of a configuration -> the class that takes its keys
    "trainer": "pytorch_lightning.Trainer",
    "early_stopping": "pytorch_lightning.callbacks.EarlyStopping",
    "checkpoint": "pytorch_lightning.callbacks.ModelCheckpoint",
}
FEW = 8  # processes that a file may start for a training; on a machine of more cores, so many
OWN = ("covidnet.models", "covidnet.data")  # rooms whose models and data modules a file may name
