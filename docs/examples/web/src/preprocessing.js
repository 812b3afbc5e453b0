// The evaluation transform of keras_deit.ImageProcessor: resize with a filter of Pillow, crop the centre, normalise.

// How images are prepared if the model does not say: the official evaluation.
const OFFICIAL = {
  mean: [0.485, 0.456, 0.406],
  std: [0.229, 0.224, 0.225],
  crop_ratio: 0.875,
  interpolation: "bicubic",
  squash: false,
};
const PRECISION = 2 ** 22; // Pillow rounds its weights to multiples of 1 / PRECISION

const sinc = (x) => (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x));

function cubic(distance) {
  const x = Math.abs(distance);
  if (x < 1) return 1.5 * x ** 3 - 2.5 * x ** 2 + 1;
  return x < 2 ? -0.5 * (x ** 3 - 5 * x ** 2 + 8 * x - 4) : 0;
}

// Support in pixels, and kernel of the signed distance. The filter `nearest` has no kernel.
const FILTERS = {
  box: [0.5, (x) => (x > -0.5 && x <= 0.5 ? 1 : 0)],
  bilinear: [1, (x) => Math.max(1 - Math.abs(x), 0)],
  hamming: [1, (x) => (Math.abs(x) < 1 ? sinc(x) * (0.54 + 0.46 * Math.cos(Math.PI * x)) : 0)],
  bicubic: [2, cubic],
  lanczos: [3, (x) => (Math.abs(x) < 3 ? sinc(x) * sinc(x / 3) : 0)],
};

/**
 * Prepares an image for the model.
 *
 * @param {{width: number, height: number, data: Uint8ClampedArray}} image Pixels as RGBA, such as an `ImageData`.
 * @param {[number, number]} imageSize Height and width of the model's images.
 * @param {?object} record The model's metadata `preprocessing`; null stands for the official evaluation.
 * @returns {Float32Array} Normalised image of the shape (height, width, 3).
 */
export function preprocess(image, imageSize, record) {
  const { mean, std, crop_ratio: cropRatio, interpolation, squash } = record ?? OFFICIAL;
  const resized = resizedSize(image, imageSize, cropRatio, squash);
  const rows = cropWeights(image.height, resized[0], imageSize[0], interpolation);
  const columns = cropWeights(image.width, resized[1], imageSize[1], interpolation);
  const pixels = resizeRows(resizeColumns(image, rows, columns), rows, columns.length);
  return Float32Array.from(pixels, (value, index) => (value / 255 - mean[index % 3]) / std[index % 3]);
}

/** Returns [height, width] before the centre crop. */
function resizedSize({ width, height }, imageSize, cropRatio, squash) {
  const resized = imageSize.map((side) => Math.trunc(side / cropRatio));
  if (squash) return resized;
  if (resized[0] * width >= resized[1] * height) {
    return [resized[0], Math.trunc((resized[0] * width) / height)];
  }
  return [Math.trunc((resized[1] * height) / width), resized[1]];
}

/** Returns for each pixel of the centre crop of a resized axis its first source pixel and its source pixels' weights. */
function cropWeights(source, resized, size, interpolation) {
  const offset = roundHalfToEven((resized - size) / 2);
  const scale = source / resized;
  if (interpolation === "nearest") return nearestWeights(offset, size, scale);
  const [support, kernel] = FILTERS[interpolation];
  const stretch = Math.max(scale, 1); // antialiasing: the kernel covers all source pixels of a smaller image's pixel
  return Array.from({ length: size }, (_, index) => {
    const centre = (offset + index + 0.5) * scale;
    const first = Math.max(Math.trunc(centre - support * stretch + 0.5), 0);
    const end = Math.min(Math.trunc(centre + support * stretch + 0.5), source);
    const weights = Array.from({ length: end - first }, (_, tap) => kernel((first + tap + 0.5 - centre) / stretch));
    const total = weights.reduce((sum, weight) => sum + weight);
    return { first, weights: weights.map((weight) => Math.round((weight / total) * PRECISION)) };
  });
}

function nearestWeights(offset, size, scale) {
  const rows = [];
  let position = 0.5 * scale; // added up as Pillow does: the roundings count
  for (let index = 0; index < offset + size; index++) {
    if (index >= offset) rows.push({ first: Math.trunc(position), weights: [PRECISION] });
    position += scale;
  }
  return rows;
}

function roundHalfToEven(value) {
  return value % 1 === 0.5 ? 2 * Math.round(value / 2) : Math.round(value);
}

/** Resizes the columns of the source rows that `rows` uses. Returns RGB bytes; the other rows stay 0. */
function resizeColumns({ data, width, height }, rows, columns) {
  const resized = new Uint8ClampedArray(height * columns.length * 3);
  const end = Math.max(...rows.map(({ first, weights }) => first + weights.length));
  for (let y = rows[0].first; y < end; y++) {
    columns.forEach(({ first, weights }, x) => {
      const target = 3 * (y * columns.length + x);
      writeSums(data, 4 * (y * width + first), 4, weights, resized, target);
    });
  }
  return resized;
}

function resizeRows(data, rows, width) {
  const resized = new Uint8ClampedArray(rows.length * width * 3);
  rows.forEach(({ first, weights }, y) => {
    for (let x = 0; x < width; x++) {
      writeSums(data, 3 * (first * width + x), 3 * width, weights, resized, 3 * (y * width + x));
    }
  });
  return resized;
}

/** Writes the weighted sums of red, green and blue of pixels that are `stride` bytes apart, rounded as Pillow rounds. */
function writeSums(data, start, stride, weights, target, position) {
  let red = 0;
  let green = 0;
  let blue = 0;
  for (let tap = 0; tap < weights.length; tap++) {
    const index = start + tap * stride;
    red += weights[tap] * data[index];
    green += weights[tap] * data[index + 1];
    blue += weights[tap] * data[index + 2];
  }
  target[position] = Math.floor(red / PRECISION + 0.5); // the array keeps values within 0..255
  target[position + 1] = Math.floor(green / PRECISION + 0.5);
  target[position + 2] = Math.floor(blue / PRECISION + 0.5);
}
