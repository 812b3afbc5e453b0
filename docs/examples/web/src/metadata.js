// The metadata properties of an ONNX file, which ONNX Runtime Web does not read.

const METADATA_PROPS = 14; // numbers of fields in onnx.proto: of ModelProto, ...
const KEY = 1; // ... and of StringStringEntryProto
const VALUE = 2;
const BYTES_OF_WIRE_TYPE = { 1: 8, 5: 4 };

/**
 * Reads what `kd.export.to_onnx` wrote about the model: class names, preparation of images and so on.
 *
 * @param {Uint8Array} file Content of the ONNX file.
 * @returns {object} The metadata.
 * @throws {Error} If the file has no metadata of keras_deit.
 */
export function readMetadata(file) {
  const metadata = {};
  for (const [field, entry] of fields(file)) {
    if (field === METADATA_PROPS) {
      const texts = Object.fromEntries(fields(entry));
      metadata[text(texts[KEY])] = text(texts[VALUE]);
    }
  }
  if (!metadata.producer?.startsWith('"keras_deit ')) {
    throw new Error("The file has no metadata of keras_deit.");
  }
  return Object.fromEntries(Object.entries(metadata).map(([key, value]) => [key, JSON.parse(value)]));
}

const text = (bytes) => new TextDecoder().decode(bytes);

/** Yields number and value of the fields of a protobuf message; of numbers, the value is undefined. */
function* fields(message) {
  let position = 0;
  const varint = () => {
    let value = 0;
    let factor = 1;
    let byte;
    do {
      byte = message[position++];
      value += (byte & 127) * factor; // not shifted: shifts end at 32 bits
      factor *= 128;
    } while (byte & 128);
    return value;
  };
  while (position < message.length) {
    const tag = varint();
    const wireType = tag & 7;
    if (wireType === 0) {
      varint();
      yield [tag >>> 3];
    } else {
      const length = BYTES_OF_WIRE_TYPE[wireType] ?? varint();
      yield [tag >>> 3, message.subarray(position, position + length)];
      position += length;
    }
  }
}
