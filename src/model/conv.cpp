// Convolutional autoencoders over images: plain, with skip connections (U-Net) and variational.
//
// Fully convolutional: an image of any size gives a prediction of the same size. Sizes that the levels do not divide
// are continued to the next one that they do, by repeating the last row and column, and the prediction is cut.
#include <torch/nn/functional/padding.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/normalization.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <vector>

#include "model/activation.hpp"
#include "model/family_options.hpp"
#include "model/makers.hpp"
#include "model/module_network.hpp"

namespace ae::model {
namespace {

namespace nn = torch::nn;

constexpr std::int64_t kMostChannels = 1024;
constexpr std::int64_t kDown = 4;  // kernel of the strided convolutions, a multiple of the stride: no checkerboard
constexpr std::int64_t kSame = 3;

constexpr std::array<config::Choice, 3> kPaddings{{
    {"zeros", "black around the image (after centring: mid-gray)"},
    {"replicate", "the nearest pixel"},
    {"reflect", "the mirrored image"},
}};

constexpr std::array<config::Choice, 2> kUpsamplings{{
    {"nearest", "repeat each pixel, then convolve"},
    {"transposed", "transposed convolution, always with zeros around"},
}};

struct Options {
  std::int64_t levels = 3;
  std::int64_t width = 16;
  std::int64_t code = 8;
  std::string padding = "zeros";
  std::string upsample = "nearest";
  HiddenOptions hidden_layer;
  ObservedOption observed_input;

  void fields(config::Fields& f) {
    f.integer("levels", levels, {1, 8}, "Times the resolution is halved between image and code.");
    f.integer("width", width, {1, kMostChannels}, "Channels of the first level; each next one has twice as many.");
    f.integer("code", code, {1, 4096}, "Channels of the code, at the lowest resolution.");
    f.choice("padding", padding, kPaddings, "What stands around the image for its outermost pixels.");
    f.choice("upsample", upsample, kUpsamplings, "How the decoder doubles the resolution.");
    hidden_layer.fields(f, Elements::pixels);
    observed_input.field(f, Elements::pixels);
  }
  // Channels after so many halvings; level 0, which only the U-Net has, is as wide as level 1.
  std::int64_t channels(std::int64_t level) const {
    return std::min(width << std::max<std::int64_t>(level - 1, 0), std::max(kMostChannels, width));
  }
};

enum class Kind { plain, unet, variational };

// One convolution as the family plans it.
struct Layer {
  enum class Shape { same, down, up, point };
  std::string name;
  Shape shape;
  std::int64_t in;
  std::int64_t out;
  std::int64_t level;  // halvings of its output's resolution
  bool hidden = true;  // followed by normalisation and activation
  std::int64_t kernel(const Options& options) const {
    if (shape == Shape::point) return 1;
    return shape == Shape::down || (shape == Shape::up && options.upsample == "transposed") ? kDown : kSame;
  }
};

struct Plan {
  std::vector<Layer> encoder;
  Layer code;
  std::vector<Layer> decoder;
  std::vector<Layer> all() const {
    std::vector<Layer> layers = encoder;
    layers.push_back(code);
    layers.insert(layers.end(), decoder.begin(), decoder.end());
    return layers;
  }
};

Plan plan_of(const Options& options, Kind kind, const Interface& interface) {
  using Shape = Layer::Shape;
  const std::int64_t levels = options.levels;
  std::int64_t channels = static_cast<std::int64_t>(interface.domain.elements.size());
  if (options.observed_input.shown(interface)) ++channels;
  const auto name = [](const char* part, std::int64_t level) { return part + std::to_string(level); };
  Plan plan{{}, {"code", Shape::point, options.channels(levels), options.code, levels, false}, {}};
  if (kind == Kind::unet) {
    plan.encoder.push_back({"encoder_0", Shape::same, channels, options.channels(0), 0});
    channels = options.channels(0);
  }
  for (std::int64_t level = 1; level <= levels; ++level) {
    plan.encoder.push_back({name("encoder_", level), Shape::down, channels, options.channels(level), level});
    channels = options.channels(level);
  }
  plan.decoder.push_back({name("decoder_", levels), Shape::same, options.code, channels, levels});
  for (std::int64_t level = levels - 1; level > 0; --level) {
    plan.decoder.push_back({name("decoder_", level), Shape::up, channels, options.channels(level), level});
    channels = options.channels(level);
    if (kind == Kind::unet) {
      plan.decoder.push_back({name("merge_", level), Shape::same, 2 * channels, channels, level});
    }
  }
  if (kind == Kind::unet) {
    plan.decoder.push_back({"decoder_0", Shape::up, channels, options.channels(0), 0});
    channels = options.channels(0);
    plan.decoder.push_back({"output", Shape::same, 2 * channels, interface.outputs, 0, false});
  } else {
    plan.decoder.push_back({"output", Shape::up, channels, interface.outputs, 0, false});
  }
  return plan;
}

double weights_of(const Layer& layer, const Options& options) {
  const auto kernel = static_cast<double>(layer.kernel(options));
  return kernel * kernel * static_cast<double>(layer.in) * static_cast<double>(layer.out);
}

// convolution -> norm -> activation
class BlockImpl : public nn::Module {
 public:
  BlockImpl(const Layer& layer, const Options& options)
      : activation_(options.hidden_layer.activation), hidden_(layer.hidden) {
    const bool up = layer.shape == Layer::Shape::up;
    if (up && options.upsample == "transposed") {
      transposed_ = register_module(
          "convolution",
          nn::ConvTranspose2d(nn::ConvTranspose2dOptions(layer.in, layer.out, kDown).stride(2).padding(1)));
    } else {
      doubles_ = up;
      auto settings = nn::Conv2dOptions(layer.in, layer.out, layer.kernel(options));
      if (layer.shape != Layer::Shape::point) settings.padding(1);
      if (layer.shape == Layer::Shape::down) settings.stride(2);
      if (options.padding == "replicate") settings.padding_mode(torch::kReplicate);
      if (options.padding == "reflect") settings.padding_mode(torch::kReflect);
      convolution_ = register_module("convolution", nn::Conv2d(settings));
    }
    if (!hidden_) return;
    if (options.hidden_layer.norm == "batch") batch_norm_ = register_module("norm", nn::BatchNorm2d(layer.out));
    if (options.hidden_layer.norm == "group") {
      std::int64_t groups = 8;
      while (layer.out % groups != 0) groups /= 2;
      group_norm_ = register_module("norm", nn::GroupNorm(nn::GroupNormOptions(groups, layer.out)));
    }
  }
  torch::Tensor forward(torch::Tensor x) {
    if (doubles_) x = torch::upsample_nearest2d(x, {2 * x.size(2), 2 * x.size(3)});
    x = transposed_ ? transposed_->forward(x) : convolution_->forward(x);
    if (batch_norm_) x = batch_norm_->forward(x);
    if (group_norm_) x = group_norm_->forward(x);
    return hidden_ ? activate(activation_, x) : x;
  }

 private:
  std::string activation_;
  bool hidden_;
  bool doubles_ = false;
  nn::Conv2d convolution_{nullptr};
  nn::ConvTranspose2d transposed_{nullptr};
  nn::BatchNorm2d batch_norm_{nullptr};
  nn::GroupNorm group_norm_{nullptr};
};
TORCH_MODULE(Block);

class ConvNetwork final : public ModuleNetwork {
 public:
  Pool pool() const override { return Pool::openmp; }
  ConvNetwork(const Options& options, Kind kind, const Interface& interface)
      : options_(options),
        kind_(kind),
        show_observed_(options.observed_input.shown(interface)),
        plan_(plan_of(options, kind, interface)) {
    for (const Layer& layer : plan_.encoder) encoder_.push_back(block(layer));
    code_ = block(plan_.code);
    if (kind == Kind::variational) {
      Layer layer = plan_.code;
      layer.name = "log_variance";
      log_variance_ = block(layer);
    }
    for (const Layer& layer : plan_.decoder) decoder_.push_back(block(layer));
    // oneDNN convolves channels-last tensors without reordering them: twice the speed, measured at 64 x 64.
    for (auto& parameter : root_.parameters()) {
      if (parameter.dim() == 4) parameter.set_data(parameter.contiguous(at::MemoryFormat::ChannelsLast));
    }
  }

  Code encode(const Batch& batch) override { return encode(batch, nullptr); }
  // Of a code alone: the skip connections of a U-Net, which are no part of it, carry zeros.
  torch::Tensor decode(const torch::Tensor& latent) override { return decode(latent, {}); }

  Output forward(const Batch& batch) override {
    std::vector<torch::Tensor> skips;
    Code code = encode(batch, kind_ == Kind::unet ? &skips : nullptr);
    auto prediction = decode(code.latent, std::move(skips));
    prediction = prediction.narrow(2, 0, batch.values.size(2)).narrow(3, 0, batch.values.size(3));
    return {std::move(prediction), std::move(code)};
  }

  std::int64_t latent_size() const override { return options_.code; }
  bool variational() const override { return kind_ == Kind::variational; }
  bool uses_batch_statistics() const override { return options_.hidden_layer.norm == "batch"; }
  double operations(const Domain& domain) const override {
    double total = 0;
    for (const Layer& layer : plan_.all()) {
      const double side = static_cast<double>(std::int64_t{1} << layer.level);
      total += 2 * weights_of(layer, options_) * static_cast<double>(domain.grid[0] * domain.grid[1]) / (side * side);
    }
    return total;
  }

 private:
  Block block(const Layer& layer) { return root_.register_module(layer.name, Block(layer, options_)); }

  // Channels around 0 for pixels in [0, 1]; hidden pixels are 0 and, when the network is told, flagged.
  torch::Tensor input(const Batch& batch) const {
    auto x = batch.values * 2 - 1;
    if (show_observed_) x = torch::cat({x * batch.observed, batch.observed.amax(1, true)}, 1);
    const std::int64_t unit = std::int64_t{1} << options_.levels;
    // A mirror needs two pixels at the lowest resolution.
    const std::int64_t least = options_.padding == "reflect" ? 2 * unit : unit;
    const auto missing = [&](std::int64_t length) {
      return std::max(least, (length + unit - 1) / unit * unit) - length;
    };
    const std::int64_t right = missing(x.size(3));
    const std::int64_t bottom = missing(x.size(2));
    if (right > 0 || bottom > 0) {
      x = nn::functional::pad(x, nn::functional::PadFuncOptions({0, right, 0, bottom}).mode(torch::kReplicate));
    }
    return x.contiguous(at::MemoryFormat::ChannelsLast);
  }

  Code encode(const Batch& batch, std::vector<torch::Tensor>* skips) {
    auto x = input(batch);
    for (auto& layer : encoder_) {
      x = layer->forward(x);
      if (skips) skips->push_back(x);
    }
    const auto latent = code_->forward(x);
    if (kind_ != Kind::variational) return {latent, {}, {}};
    return variational_code(latent, log_variance_->forward(x), training());
  }

  // `skips`: what the encoder made at levels 0, 1, ... ; the deepest is not used.
  torch::Tensor decode(const torch::Tensor& latent, std::vector<torch::Tensor> skips) {
    auto x = latent;
    for (std::size_t i = 0; i < decoder_.size(); ++i) {
      const Layer& layer = plan_.decoder[i];
      if (kind_ == Kind::unet && layer.shape == Layer::Shape::same && i > 0) {
        const auto level = static_cast<std::size_t>(layer.level);
        x = torch::cat({x, skips.empty() ? torch::zeros_like(x) : skips[level]}, 1);
      }
      x = decoder_[i]->forward(x);
    }
    return x;
  }

  Options options_;
  Kind kind_;
  bool show_observed_;
  Plan plan_;
  std::vector<Block> encoder_;
  Block code_{nullptr};
  Block log_variance_{nullptr};
  std::vector<Block> decoder_;
};

// Several of them, each run on its own block of samples: convolutions of one image gain nothing from being stacked.
class ConvMembers final : public Network {
 public:
  Pool pool() const override { return Pool::openmp; }
  ConvMembers(const Options& options, Kind kind, const Interface& interface, std::int64_t members) {
    for (std::int64_t m = 0; m < members; ++m) {
      members_.push_back(std::make_shared<ConvNetwork>(options, kind, interface));
    }
    stack();
  }

  Output forward(const Batch& batch) override {
    return each<Output>(batch.samples(), [&](ConvNetwork& member, std::int64_t begin, std::int64_t count) {
      return member.forward(batch.range(begin, begin + count));
    });
  }
  Code encode(const Batch& batch) override {
    return each<Code>(batch.samples(), [&](ConvNetwork& member, std::int64_t begin, std::int64_t count) {
      return member.encode(batch.range(begin, begin + count));
    });
  }
  torch::Tensor decode(const torch::Tensor& latent) override {
    return each<torch::Tensor>(latent.size(0), [&](ConvNetwork& member, std::int64_t begin, std::int64_t count) {
      return member.decode(latent.narrow(0, begin, count));
    });
  }

  NamedTensors parameters() const override { return parameters_; }
  NamedTensors buffers() const override { return buffers_; }
  void set_training(bool on) override {
    for (auto& member : members_) member->set_training(on);
  }
  void to_double() override {
    for (auto& member : members_) member->to_double();
    stack();
  }
  std::int64_t latent_size() const override { return members_.front()->latent_size(); }
  bool variational() const override { return members_.front()->variational(); }
  bool uses_batch_statistics() const override { return members_.front()->uses_batch_statistics(); }
  double operations(const Domain& domain) const override {
    return static_cast<double>(members()) * members_.front()->operations(domain);
  }
  std::int64_t members() const override { return std::ssize(members_); }
  std::shared_ptr<Network> member(std::int64_t m) override { return members_.at(static_cast<std::size_t>(m)); }

 private:
  static torch::Tensor joined(const std::vector<torch::Tensor>& parts) { return torch::cat(parts); }
  static Code joined(const std::vector<Code>& parts) {
    const auto of = [&](torch::Tensor Code::*which) {
      std::vector<torch::Tensor> tensors;
      for (const Code& part : parts) tensors.push_back(part.*which);
      return tensors.front().defined() ? torch::cat(tensors) : torch::Tensor();
    };
    return {of(&Code::latent), of(&Code::mean), of(&Code::log_variance)};
  }
  static Output joined(const std::vector<Output>& parts) {
    std::vector<torch::Tensor> predictions;
    std::vector<Code> codes;
    for (const Output& part : parts) {
      predictions.push_back(part.prediction);
      codes.push_back(part.code);
    }
    return {joined(predictions), joined(codes)};
  }
  template <typename Answer, typename Ask>
  Answer each(std::int64_t samples, Ask&& ask) {
    const std::int64_t count = samples / members();
    std::vector<Answer> parts;
    for (std::int64_t m = 0; m < members(); ++m) {
      parts.push_back(ask(*members_[static_cast<std::size_t>(m)], m * count, count));
    }
    return joined(parts);
  }

  // Stacks the members' weights, and makes theirs, with their gradients, slices of the stacked ones: what is done to
  // these is done to the members. Slices keep the layout that convolutions are fast with.
  void stack() {
    const torch::NoGradGuard no_grad;
    const auto stacked = [&](NamedTensors (Network::*list)() const, bool trained) {
      NamedTensors all;
      std::vector<NamedTensors> own;
      for (const auto& member : members_) own.push_back(((*member).*list)());
      for (std::size_t i = 0; i < own.front().size(); ++i) {
        std::vector<torch::Tensor> slices;
        for (const auto& one : own) slices.push_back(one[i].second.detach());
        const bool image_weight = slices.front().dim() == 4;
        if (image_weight) {
          for (auto& slice : slices) slice = slice.permute({0, 2, 3, 1}).contiguous();
        }
        auto together = torch::stack(slices);
        if (image_weight) together = together.permute({0, 1, 4, 2, 3});
        if (trained) {
          together.set_requires_grad(true);
          together.mutable_grad() = torch::zeros_like(together);
        }
        for (std::size_t m = 0; m < own.size(); ++m) {
          auto& tensor = own[m][i].second;
          tensor.set_data(together.detach().select(0, static_cast<std::int64_t>(m)));
          if (trained) tensor.mutable_grad() = together.grad().select(0, static_cast<std::int64_t>(m));
        }
        all.emplace_back(own.front()[i].first, together);
      }
      return all;
    };
    parameters_ = stacked(&Network::parameters, true);
    buffers_ = stacked(&Network::buffers, false);
  }

  std::vector<std::shared_ptr<ConvNetwork>> members_;
  NamedTensors parameters_;
  NamedTensors buffers_;
};

template <Kind kind>
class ConvFamily final : public Family {
 public:
  ConvFamily() {
    if (kind == Kind::unet) options_.code = 32;
  }
  void fields(config::Fields& f) override {
    options_.fields(f);
    members_field(f, members_);
  }
  std::unique_ptr<Network> build(const Interface& interface) const override {
    if (members_ == 1) return std::make_unique<ConvNetwork>(options_, kind, interface);
    return std::make_unique<ConvMembers>(options_, kind, interface, members_);
  }
  bool variational() const override { return kind == Kind::variational; }
  bool reads_grids() const override { return true; }
  double weights(const Interface& interface) const override {
    double total = 0;
    for (const Layer& layer : plan_of(options_, kind, interface).all()) total += weights_of(layer, options_);
    return static_cast<double>(members_) * total;
  }

 private:
  Options options_;
  std::int64_t members_ = 1;
};

}  // namespace

std::unique_ptr<Family> make_conv() { return std::make_unique<ConvFamily<Kind::plain>>(); }
std::unique_ptr<Family> make_unet() { return std::make_unique<ConvFamily<Kind::unet>>(); }
std::unique_ptr<Family> make_conv_variational() { return std::make_unique<ConvFamily<Kind::variational>>(); }

}  // namespace ae::model
