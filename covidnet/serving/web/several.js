"use strict";

// Several images: looked at one after the other, told in a table that can be kept as CSV.
const TRIES = 30; // seconds that an image waits for a server that others keep busy
let seen = []; // { name, answer, problem } of each image so far
let stopped = false;

async function lookAtAll(files) {
  const number = begin("");
  seen = [];
  stopped = false;
  $("rows").replaceChildren();
  $("apart-head").hidden = true;
  $("several").hidden = false;
  $("stop").hidden = false;
  $("csv").hidden = true;
  page.classList.add("given");
  for (const [place, file] of files.entries()) {
    $("several-title").textContent = `${place} of ${files.length} images`;
    tell(`The model looks at image ${place + 1} of ${files.length}: ${file.name} …`);
    const found = { name: file.name, ...(await ask(file, "", TRIES)) };
    if (number !== latest) return; // other images were chosen meanwhile
    seen.push(found);
    $("rows").append(rowOf(found, file));
    if (stopped) break;
  }
  settle(number);
  $("stop").hidden = true;
  $("csv").hidden = false;
  for (const button of $("rows").querySelectorAll("button")) button.disabled = false;
  const failed = seen.filter(({ problem }) => problem).length;
  const left = seen.length < files.length ? ` of ${files.length}` : "";
  const told = `${seen.length}${left} images${failed ? `, ${failed} without an answer` : ""}`;
  $("several-title").textContent = told;
  tell(`${told}.`, { aloud: true });
}

function rowOf({ name, answer, problem }, file) {
  const row = element("tr", answer?.unfamiliar ? "unfamiliar" : "", "");
  const head = element("th", "", "");
  head.scope = "row";
  const chosen = element("button", "path", name);
  chosen.type = "button";
  chosen.disabled = true; // until all are looked at
  chosen.addEventListener("click", () => look(file, { keepTable: true }));
  head.append(problem ? element("span", "path", name) : chosen);
  row.append(head);
  if (problem) {
    const cell = valueOf("problem", problem);
    cell.className = "unread";
    cell.colSpan = 5;
    row.append(cell);
    return row;
  }
  const called = answer.decision ?? answer.predicted;
  const set = answer.prediction_set;
  row.append(
    valueOf("called", called),
    valueOf("probability", percent((answer.calibrated ?? answer.probabilities)[called])),
    valueOf("prediction set", set === null ? "not known" : set.length ? set.join(", ") : "no class fits"),
    valueOf("familiar", answer.unfamiliar === null ? "not known" : answer.unfamiliar ? "no" : "yes"),
  );
  if (answer.disagreement !== undefined) {
    $("apart-head").hidden = false;
    row.append(valueOf("disagreement", answer.disagreement.toFixed(3)));
  }
  return row;
}

// On a phone the label stands before the value.
function valueOf(label, text) {
  const made = element("td", "", "");
  made.dataset.label = label;
  const value = element("span", "", "");
  write(value, text);
  made.append(value);
  return made;
}

// The columns of `covidnet predict`.
function asCsv() {
  const classes = classNames;
  const decided = seen.some(({ answer }) => answer && answer.decision_rule !== null);
  const apart = seen.some(({ answer }) => answer?.disagreement !== undefined);
  const header = ["path", "label", "predicted", ...classes.map((name) => `prob_${name}`)];
  header.push(...classes.map((name) => `calibrated_${name}`), "prediction_set", "novelty", "unfamiliar");
  header.push(...(decided ? ["decision"] : []), ...(apart ? ["disagreement"] : []), "error");
  const lines = seen.map(({ name, answer, problem }) => {
    if (problem) return [name, ...Array(header.length - 2).fill(""), problem];
    const row = [name, "", answer.predicted, ...classes.map((of) => digits(answer.probabilities[of], 9))];
    row.push(...classes.map((of) => digits(answer.calibrated?.[of], 9)), answer.prediction_set?.join(";") ?? "");
    row.push(digits(answer.novelty, 4), answer.unfamiliar ?? "");
    row.push(...(decided ? [answer.decision] : []), ...(apart ? [digits(answer.disagreement, 4)] : []), "");
    return row;
  });
  return [header, ...lines].map((row) => `${row.map(cell).join(",")}\n`).join("");
}

const digits = (value, count) => (value === undefined || value === null ? "" : Number(value.toPrecision(count)));

// A name that a spreadsheet would take for a formula begins with an apostrophe.
function cell(value) {
  const text = String(value).replace(/^(?=[=+@\t\r]|-(?!\d))/, "'");
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

$("stop").addEventListener("click", () => {
  stopped = true;
});
$("csv").addEventListener("click", () => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([asCsv()], { type: "text/csv" }));
  link.download = "predictions.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href));
});
