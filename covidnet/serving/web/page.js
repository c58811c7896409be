"use strict";

const $ = (id) => document.getElementById(id);
const page = document.body;
const maxBytes = Number(page.dataset.maxBytes);
let latest = 0; // number of the newest request: an older one that answers late is not shown
let heats = null;
const GONE = "The server does not answer. Is it still running?";

const percent = (share) => {
  if (share > 0.999 && share < 1) return "> 99.9\u00a0%";
  if (share < 0.001 && share > 0) return "< 0.1\u00a0%";
  return `${(100 * share).toFixed(1)}\u00a0%`;
};

const element = (name, kind, text) => {
  const made = document.createElement(name);
  made.className = kind;
  made.textContent = text;
  return made;
};

const classNames = [...document.getElementsByName("heat-of")].map((choice) => choice.value);
const longestFirst = [...classNames].sort((one, other) => other.length - one.length);
const escaped = longestFirst.map((name) => name.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&"));
const named = new RegExp(`(?<![\\p{L}\\p{N}])(${escaped.join("|")})(?![\\p{L}\\p{N}])`, "u");

// Writes a sentence in which the name of a class breaks only where it is longer than the line.
function write(target, sentence) {
  const parts = sentence.split(named).filter(Boolean);
  target.replaceChildren(...parts.map((part) => (classNames.includes(part) ? element("span", "whole", part) : part)));
}

const listed = (names, word) =>
  names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} ${word} ${names.at(-1)}`;

// What is only aloud is seen elsewhere on the page already.
function tell(sentence, { aloud = false } = {}) {
  $("status").textContent = sentence;
  $("status").classList.toggle("hidden", aloud);
}

function fail(sentence) {
  tell("");
  $("result").hidden = true;
  $("problem").textContent = sentence;
  $("problem").hidden = false;
}

function settle(number) {
  if (number === latest) page.classList.remove("busy");
}

// Whatever was said before is gone from here on, but for a table from which an image was chosen.
function begin(sentence, { keepTable = false } = {}) {
  $("problem").hidden = true;
  $("problem").textContent = "";
  $("result").hidden = true;
  if (!keepTable) $("several").hidden = true;
  page.classList.add("busy");
  tell(sentence);
  return ++latest;
}

// Returns the answer to a file, or the problem that there is with it.
async function ask(file, query, tries = 1) {
  if (file.size > maxBytes) {
    const size = (file.size / 1e6).toFixed(1);
    return { problem: `This file is too large: it has ${size} MB, and up to ${maxBytes / 1e6} MB are taken.` };
  }
  try {
    await file.slice(0, 1).arrayBuffer();
  } catch {
    return { problem: "This cannot be read: it is a folder, or it is not there any more." };
  }
  let response, answer;
  try {
    const headers = { "Content-Type": "application/octet-stream" };
    response = await fetch(`predict${query}`, { method: "POST", headers, body: file });
    answer = await response.json();
  } catch {
    answer = null;
  }
  if (response?.status === 503 && tries > 1) {
    await new Promise((done) => setTimeout(done, 1000));
    return ask(file, query, tries - 1);
  }
  if (!response) return { problem: GONE };
  if (!response.ok || !answer) return { problem: answer?.detail ?? `The server answered with code ${response.status}.` };
  return { answer };
}

async function look(file, options) {
  const number = begin(`The model looks at ${file.name} …`, options);
  const { answer, problem } = await ask(file, "?heat=all&image=true");
  if (number !== latest) return;
  settle(number);
  if (problem) fail(problem);
  else show(answer, file.name);
}

function lookAt(files) {
  if (files.length > 1) lookAtAll(files);
  else if (files.length) look(files[0]);
}

function show(answer, name) {
  page.classList.add("given");
  const shown = answer.calibrated ?? answer.probabilities;
  const said = answer.decision === null ? `Most probable: ${answer.predicted}` : `Called: ${answer.decision}`;
  const called = answer.decision ?? answer.predicted;
  write($("predicted"), answer.unfamiliar ? "An unfamiliar image" : said);
  $("rule").textContent = (answer.decision_rule ?? "").replaceAll(" %", "\u00a0%");
  $("rule").hidden = answer.decision_rule === null;
  showWarnings(answer);
  $("kind").textContent = answer.calibrated ? "Probability (calibrated)" : "Probability (not calibrated)";
  $("bars").replaceChildren(...Object.entries(shown).map(([of, share]) => bar(of, share, of === called)));
  write($("set"), describeSet(answer, classNames));
  if (answer.unfamiliar && answer.prediction_set) $("set").append(" This does not hold for an unfamiliar image.");
  $("novelty").textContent =
    answer.novelty === null
      ? ""
      : `Unlikeness to the training images: ${answer.novelty.toFixed(2)}; above 1 the image counts as unfamiliar.`;
  $("image").src = answer.image;
  $("image").alt = `The image as it was decoded, ${name}`;
  $("apart").hidden = answer.disagreement === undefined;
  $("apart").textContent =
    answer.disagreement === undefined
      ? ""
      : `Disagreement of the members: ${answer.disagreement.toFixed(3)} nats; at 0 all of them say the same.`;
  $("name").textContent = name;
  heats = answer.heat;
  const any = Object.keys(heats).length > 0;
  $("heat-controls").hidden = !any;
  $("no-heat").hidden = any;
  for (const choice of document.getElementsByName("heat-of")) choice.checked = choice.value === called;
  showHeat();
  $("result").hidden = false;
  const unlike = answer.unfamiliar ? "An unfamiliar image. " : "";
  tell(`${unlike}${said}, ${percent(shown[called])}.`, { aloud: true });
  $("predicted").focus();
}

function showWarnings(answer) {
  const items = answer.warnings.map((sentence, place) =>
    element("li", answer.unfamiliar && place === 0 ? "unfamiliar" : "", sentence.replaceAll(" %", "\u00a0%")),
  );
  $("warnings").replaceChildren(...items);
  $("warnings").hidden = items.length === 0;
}

function bar(name, share, top) {
  const item = element("li", top ? "top" : "", "");
  const track = element("span", "track", "");
  track.setAttribute("aria-hidden", "true");
  track.append(document.createElement("i"));
  track.style.setProperty("--share", share);
  item.append(element("span", "name", name), " ", element("span", "value", percent(share)), track);
  return item;
}

function describeSet(answer, classes) {
  const set = answer.prediction_set;
  if (set === null) return "Not known: nothing was fitted for it on validation images.";
  const at = `At ${+(100 * answer.coverage).toFixed(1)}\u00a0% coverage`;
  if (set.length === 0) return `${at} no class fits: the image is not like those of any class.`;
  if (set.length === classes.length) return `${at} no class can be ruled out: ${listed(set, "or")}.`;
  return `${at} the ${set.length === 1 ? "only class" : "classes"} that cannot be ruled out: ${listed(set, "or")}.`;
}

function showHeat() {
  const strength = Number($("strength").value);
  $("strength-shown").textContent = `${strength}\u00a0%`;
  const of = document.querySelector("input[name=heat-of]:checked")?.value;
  const map = heats?.[of] ?? null;
  $("heat").hidden = map === null;
  if (map !== null) $("heat").src = map;
  $("heat").style.opacity = strength / 100;
  write($("heat-note"), map === null ? `Nothing in the image speaks for ${of}.` : "");
}

$("file").addEventListener("change", (event) => {
  const files = [...event.target.files];
  event.target.value = ""; // the same file may be chosen again
  lookAt(files);
});
for (const sample of document.querySelectorAll(".sample")) {
  sample.addEventListener("click", async () => {
    const sent = await fetch(sample.dataset.place).catch(() => null);
    if (sent) look(new File([await sent.blob()], sample.dataset.name));
    else fail(GONE);
  });
}
$("form").addEventListener("submit", (event) => event.preventDefault());
$("strength").addEventListener("input", showHeat);
$("image").addEventListener("load", ({ target }) =>
  $("stack").style.setProperty("--ratio", target.naturalWidth / target.naturalHeight),
);
for (const choice of document.getElementsByName("heat-of")) choice.addEventListener("change", showHeat);

// Images may be dropped anywhere: beside the zone a browser would leave the page for it.
window.addEventListener("dragover", (event) => {
  event.preventDefault();
  page.classList.add("over");
});
window.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) page.classList.remove("over");
});
window.addEventListener("drop", (event) => {
  event.preventDefault();
  page.classList.remove("over");
  lookAt([...event.dataTransfer.files]);
});
