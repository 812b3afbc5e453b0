// The page: takes an image file, has it classified by the worker, and shows the answer.
"use strict";

const TOP = 5; // number of classes that are shown

const element = (id) => document.getElementById(id);
const megabytes = (bytes) => (bytes / 1e6).toFixed(1);
const percent = (probability) => `${(100 * probability).toFixed(1)} %`;

let latest = 0; // number of the latest image: results of earlier images are not shown

function showStatus(message) {
  element("status").textContent = message;
  element("error").hidden = true;
}

function showError(message) {
  element("status").textContent = "";
  element("error").textContent = message;
  element("error").hidden = false;
}

function showProgress({ loaded, total }) {
  if (total) Object.assign(element("progress"), { value: loaded, max: total });
  showStatus(`Loading the model … ${megabytes(loaded)} ${total ? `of ${megabytes(total)} ` : ""}MB`);
}

function showReady() {
  element("progress").hidden = true;
  element("file").disabled = false;
  showStatus("The model is ready.");
}

function showModelError(message) {
  element("progress").hidden = true;
  showError(message);
}

function showResult({ classes, transparent }) {
  const best = classes.toSorted((a, b) => b.probability - a.probability).slice(0, TOP);
  element("classes").replaceChildren(...best.map(row));
  element("result").hidden = false;
  const note = transparent
    ? " The image is partly transparent: keras-deit predict ignores the transparency and may give other probabilities."
    : "";
  showStatus(`Most probable class: ${best[0].name}, ${percent(best[0].probability)}.${note}`);
}

function row({ name, probability }) {
  const heading = document.createElement("th");
  heading.scope = "row";
  heading.textContent = name;
  const bar = document.createElement("div");
  bar.className = "bar";
  bar.style.backgroundSize = `${100 * probability}%`;
  const value = document.createElement("data");
  value.value = probability;
  value.textContent = percent(probability);
  const cell = document.createElement("td");
  cell.append(value, bar);
  const line = document.createElement("tr");
  line.append(heading, cell);
  return line;
}

function classify(files, worker) {
  element("result").hidden = true;
  latest += 1;
  if (files.length !== 1) {
    showError(`Expected one image file. Received: ${files.length} files.`);
    return;
  }
  const [file] = files;
  URL.revokeObjectURL(element("preview").src);
  element("preview").src = URL.createObjectURL(file);
  element("preview").alt = `The image ${file.name}`;
  showStatus(`Classifying ${file.name} …`);
  worker.postMessage({ id: latest, file });
}

function start() {
  const worker = new Worker("worker.js", { type: "module" });
  const input = element("file");
  const drop = element("drop");
  const receive = {
    progress: showProgress,
    ready: showReady,
    "no model": ({ message }) => showModelError(message),
    result: (answer) => answer.id === latest && showResult(answer),
    error: (answer) => answer.id === latest && showError(answer.message),
  };
  worker.onmessage = ({ data }) => receive[data.type](data);
  worker.onerror = (event) => showModelError(`worker.js cannot run: ${event.message ?? "it could not be loaded"}`);
  input.onchange = () => {
    if (input.files.length) classify(input.files, worker); // none after Cancel
    input.value = ""; // the same file may be chosen again
  };
  drop.ondragover = (event) => {
    event.preventDefault();
    drop.classList.toggle("target", !input.disabled);
  };
  drop.ondragleave = () => drop.classList.remove("target");
  drop.ondrop = (event) => {
    event.preventDefault();
    drop.classList.remove("target");
    if (!input.disabled) classify(event.dataTransfer.files, worker);
  };
}

if (location.protocol === "file:") {
  showModelError(
    "Open this page through a web server, for example python -m http.server. A page from the disk may not load a model.",
  );
} else {
  start();
}
