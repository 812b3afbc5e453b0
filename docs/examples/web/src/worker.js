// Loads the model and classifies images, in a thread of its own, so that the page stays responsive.
import * as ort from "onnxruntime-web/wasm";
import { readMetadata } from "./metadata.js";
import { preprocess } from "./preprocessing.js";

const MODEL = "student.onnx";
const READABLE = ["image/jpeg", "image/png", "image/webp", "image/gif", "image/bmp", "image/avif"];

ort.env.wasm.numThreads = 1; // more threads need HTTP headers that a plain web server does not send
ort.env.logLevel = "error";

const model = loadModel();
model.then(
  () => postMessage({ type: "ready" }),
  (error) => postMessage({ type: "no model", message: error.message }),
);

let previous = model.catch(() => {}); // images are classified one after the other
self.onmessage = ({ data: { id, file } }) => {
  previous = previous
    .then(() => classify(file))
    .then(
      (result) => postMessage({ type: "result", id, ...result }),
      (error) => postMessage({ type: "error", id, message: error.message }),
    );
};

async function loadModel() {
  const bytes = await download(MODEL);
  try {
    const metadata = readMetadata(bytes);
    if (metadata.inputs !== "normalized") throw new Error(`It takes ${metadata.inputs}, not normalized images.`);
    return { metadata, session: await ort.InferenceSession.create(bytes) };
  } catch (error) {
    throw new Error(`${MODEL} is no model that this page can run. Export it with kd.export.to_onnx. ${error.message}`);
  }
}

async function download(name) {
  let response;
  try {
    response = await fetch(name);
  } catch (error) {
    throw new Error(`${name} could not be downloaded: ${error.message}`);
  }
  if (!response.ok) {
    throw new Error(
      `${name} could not be downloaded: the server answered ${response.status} ${response.statusText}. ` +
        "Copy the exported model into the folder of this page.",
    );
  }
  const total = Number(response.headers.get("Content-Length"));
  const chunks = [];
  let loaded = 0;
  for (const reader = response.body.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) return new Uint8Array(await new Blob(chunks).arrayBuffer());
    chunks.push(value);
    loaded += value.length;
    postMessage({ type: "progress", loaded, total });
  }
}

async function classify(file) {
  const { metadata, session } = await model;
  const image = await readPixels(file);
  const input = preprocess(image, metadata.image_size, metadata.preprocessing);
  const images = new ort.Tensor("float32", input, [1, ...metadata.image_size, 3]);
  const { logits } = await session.run({ images });
  const probabilities = metadata.activation === "sigmoid" ? sigmoid(logits.data) : softmax(logits.data);
  if (!probabilities.every(Number.isFinite)) throw new Error("The model returned logits that are not finite.");
  return {
    classes: probabilities.map((probability, index) => ({
      name: metadata.class_names?.[index] ?? `class ${index}`,
      probability,
    })),
    transparent: image.data.some((value, index) => index % 4 === 3 && value < 255),
  };
}

async function readPixels(file) {
  let bitmap;
  try {
    // Turned upright as EXIF says; without the conversion of a colour profile, as Pillow reads the file.
    bitmap = await createImageBitmap(file, { colorSpaceConversion: "none" });
  } catch {
    throw new Error(
      READABLE.includes(file.type)
        ? `${file.name} is damaged, or is not of the type that its name says. Choose another file.`
        : `${file.name} is of a type that the browser cannot read. Choose a JPEG, PNG, WebP, GIF or BMP file.`,
    );
  }
  const { width, height } = bitmap;
  try {
    const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
    context.drawImage(bitmap, 0, 0);
    return context.getImageData(0, 0, width, height);
  } catch {
    throw new Error(`${file.name} has ${width} × ${height} pixels, more than the browser can read. Make it smaller.`);
  } finally {
    bitmap.close();
  }
}

function softmax(logits) {
  const largest = Math.max(...logits);
  const powers = Array.from(logits, (logit) => Math.exp(logit - largest));
  const total = powers.reduce((sum, power) => sum + power);
  return powers.map((power) => power / total);
}

const sigmoid = (logits) => Array.from(logits, (logit) => 1 / (1 + Math.exp(-logit)));
