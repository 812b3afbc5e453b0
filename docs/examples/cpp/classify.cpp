// Classifies an image with a model that keras_deit exported to ONNX:
//
//     ./classify student.onnx cat.jpg
//
// It needs ONNX Runtime, nlohmann's JSON and stb_image; docs/exporting.md has the command that compiles it.
#include <nlohmann/json.hpp>
#include <onnxruntime_cxx_api.h>
#define STB_IMAGE_IMPLEMENTATION
#include <stb_image.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

using nlohmann::json;
using Bytes = std::vector<std::uint8_t>;

constexpr int kTop = 5;                 // number of classes that are printed
constexpr double kPrecision = 1 << 22;  // Pillow rounds its weights to multiples of 1 / kPrecision

struct Image {
    int height, width;
    Bytes pixels;  // red, green and blue of each pixel, row by row
};

struct Taps {
    int first;  // source pixel of the first weight
    std::vector<double> weights;
};

Image read_image(const char* path) {
    if (stbi_is_16_bit(path)) throw std::runtime_error(std::string(path) + " has 16 bits. Store the image with 8 bits.");
    int width, height;
    std::unique_ptr<stbi_uc, void (*)(void*)> data(stbi_load(path, &width, &height, nullptr, 3), stbi_image_free);
    if (!data) throw std::runtime_error(std::string(path) + " cannot be read: " + stbi_failure_reason());
    return {height, width, Bytes(data.get(), data.get() + 3 * static_cast<std::size_t>(height) * width)};
}

// Keys, 1981, with a = -0.5.
double cubic(double distance) {
    const double x = std::abs(distance);
    if (x < 1) return 1.5 * x * x * x - 2.5 * x * x + 1;
    return x < 2 ? -0.5 * (x * x * x - 5 * x * x + 8 * x - 4) : 0;
}

// The weights of the source pixels for each pixel of the centre crop of an axis, resized as Pillow's bicubic filter does.
std::vector<Taps> crop_taps(int source, int resized, int size) {
    const double offset = std::nearbyint((resized - size) / 2.0), scale = double(source) / resized;
    const double stretch = std::max(scale, 1.0);  // antialiasing: the kernel covers all source pixels of a new pixel
    std::vector<Taps> taps(size);
    for (int index = 0; index < size; ++index) {
        const double centre = (offset + index + 0.5) * scale;
        const int first = std::max(int(centre - 2 * stretch + 0.5), 0);
        const int end = std::min(int(centre + 2 * stretch + 0.5), source);
        std::vector<double> weights(end - first);
        for (int pixel = first; pixel < end; ++pixel) weights[pixel - first] = cubic((pixel + 0.5 - centre) / stretch);
        const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
        for (double& weight : weights) weight = std::round(weight / total * kPrecision);
        taps[index] = {first, weights};
    }
    return taps;
}

// Resizes one axis of `lines` lines. A line begins every `line_step` bytes, and its pixels are `step` bytes apart.
Bytes resize(const Bytes& pixels, const std::vector<Taps>& taps, std::size_t lines, std::size_t line_step,
             std::size_t step, std::size_t new_line_step, std::size_t new_step) {
    Bytes resized(3 * lines * taps.size());
    for (std::size_t line = 0; line < lines; ++line)
        for (std::size_t index = 0; index < taps.size(); ++index)
            for (int channel = 0; channel < 3; ++channel) {
                const std::uint8_t* source = &pixels[line * line_step + taps[index].first * step + channel];
                double sum = 0;
                for (std::size_t tap = 0; tap < taps[index].weights.size(); ++tap)
                    sum += taps[index].weights[tap] * source[tap * step];
                const double rounded = std::floor(sum / kPrecision + 0.5);
                resized[line * new_line_step + index * new_step + channel] = std::clamp(rounded, 0.0, 255.0);
            }
    return resized;
}

// The evaluation transform of keras_deit.ImageProcessor: resize, crop the centre, normalise. Row by row, RGB.
std::vector<float> preprocess(const Image& image, int height, int width, const json& record) {
    if (record.at("interpolation") != "bicubic") throw std::runtime_error("This program resizes with `bicubic` only.");
    const double crop_ratio = record.at("crop_ratio");
    int rows = height / crop_ratio, columns = width / crop_ratio;  // before the crop
    if (!record.at("squash").get<bool>()) {
        if (double(rows) * image.width >= double(columns) * image.height)
            columns = double(rows) * image.width / image.height;
        else
            rows = double(columns) * image.height / image.width;
    }
    const std::size_t old_row = 3 * std::size_t(image.width), row = 3 * std::size_t(width);
    Bytes pixels = resize(image.pixels, crop_taps(image.width, columns, width), image.height, old_row, 3, row, 3);
    pixels = resize(pixels, crop_taps(image.height, rows, height), width, 3, row, 3, row);
    std::vector<float> normalised(pixels.size());
    const std::vector<double> mean = record.at("mean"), std = record.at("std");
    for (std::size_t index = 0; index < pixels.size(); ++index)
        normalised[index] = (pixels[index] / 255.0 - mean[index % 3]) / std[index % 3];
    return normalised;
}

// A value of the model's metadata, which are JSON.
json metadata(const Ort::Session& session, const char* key) {
    Ort::AllocatorWithDefaultOptions allocator;
    const auto value = session.GetModelMetadata().LookupCustomMetadataMapAllocated(key, allocator);
    if (!value) throw std::runtime_error("The model has no metadata of keras_deit.");
    return json::parse(value.get());
}

std::vector<double> probabilities(const float* logits, std::size_t count, const std::string& activation) {
    std::vector<double> values(logits, logits + count);
    for (double value : values)
        if (!std::isfinite(value)) throw std::runtime_error("The model returned logits that are not finite.");
    if (activation == "sigmoid") {
        for (double& value : values) value = 1 / (1 + std::exp(-value));
        return values;
    }
    const double largest = *std::max_element(values.begin(), values.end());
    for (double& value : values) value = std::exp(value - largest);
    const double total = std::accumulate(values.begin(), values.end(), 0.0);
    for (double& value : values) value /= total;
    return values;
}

void classify(const char* model, const char* file) {
    Ort::Env environment;
    Ort::Session session(environment, std::filesystem::path(model).c_str(), Ort::SessionOptions());
    const json record = metadata(session, "preprocessing"), names = metadata(session, "class_names");
    const std::vector<std::int64_t> size = metadata(session, "image_size");
    if (record.is_null()) throw std::runtime_error("The model does not say how its images are prepared.");

    std::vector<float> pixels = preprocess(read_image(file), size[0], size[1], record);
    const std::int64_t shape[] = {1, size[0], size[1], 3};
    const auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
    const auto images = Ort::Value::CreateTensor<float>(memory, pixels.data(), pixels.size(), shape, 4);
    const char *input = "images", *output = "logits";
    const auto logits = session.Run(Ort::RunOptions(), &input, &images, 1, &output, 1);

    const std::size_t count = logits[0].GetTensorTypeAndShapeInfo().GetElementCount();
    const auto values = probabilities(logits[0].GetTensorData<float>(), count, metadata(session, "activation"));
    std::vector<std::size_t> order(count);
    std::iota(order.begin(), order.end(), 0);
    std::sort(order.begin(), order.end(), [&](auto a, auto b) { return values[a] > values[b]; });
    for (std::size_t rank = 0; rank < std::min<std::size_t>(kTop, count); ++rank) {
        const std::size_t index = order[rank];
        const std::string name = names.is_null() ? "class " + std::to_string(index) : names[index].get<std::string>();
        std::printf("%8.4f  %s\n", values[index], name.c_str());
    }
}

int main(int argc, char** argv) {
    if (argc != 3) {
        std::fprintf(stderr, "usage: classify MODEL.onnx IMAGE\n");
        return 2;
    }
    try {
        classify(argv[1], argv[2]);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "classify: error: %s\n", error.what());
        return 1;
    }
}
