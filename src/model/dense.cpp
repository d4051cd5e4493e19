// Dense, linear and variational autoencoders over table cells, and the dense one over whole small images.
#include <torch/nn/functional/batchnorm.h>
#include <torch/nn/functional/normalization.h>
#include <torch/nn/pimpl.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "model/activation.hpp"
#include "model/affine.hpp"
#include "model/dense_forward.hpp"
#include "model/family_options.hpp"
#include "model/makers.hpp"
#include "model/module_network.hpp"
#include "model/network.hpp"
#include "model/network_around.hpp"
#include "model/stem.hpp"
#include "model/threads.hpp"

namespace ae::model {
namespace {

// Options shared by the families: how cells enter, and the width of the bottleneck.
struct Common {
  std::int64_t latent = 8;
  std::int64_t embedding = 0;
  ObservedOption observed_input;

  void latent_field(config::Fields& f) {
    f.integer("latent", latent, {1, 65536}, "Width of the bottleneck: numbers in a latent code.");
  }
  void fields(config::Fields& f) {
    latent_field(f);
    f.integer("embedding", embedding, {0, 4096},
              "Length of the learned vector that stands for a category; 0 uses one-hot codes.");
  }
};

struct Layers {
  std::vector<std::int64_t> hidden{64, 32};
  HiddenOptions hidden_layer;
  double dropout = 0;
  bool tied = false;

  void fields(config::Fields& f, bool with_tied, Elements elements = Elements::cells) {
    f.integers("hidden", hidden, {1, 65536},
               "Widths of the encoder's hidden layers, first to last; the decoder mirrors them; [] for none.");
    hidden_layer.fields(f, elements);
    f.number("dropout", dropout, {0, 1, false, true}, "Share of hidden units set to zero at random in training.");
    if (with_tied) {
      f.boolean("tied", tied,
                "Decoder layers use the transposed encoder weights (the outermost only when inputs and outputs are "
                "equally many).");
    }
  }
};

// Weights of the encoder and the output layer, as floating-point numbers so that hostile sizes cannot overflow.
double weights_at_least(const Common& common, const Layers& layers, const Interface& interface) {
  double inputs = 0;
  for (const auto& element : interface.domain.elements) {
    if (element.categorical()) inputs += common.embedding > 0 ? common.embedding : element.codes - 1;
    if (!element.categorical() && !element.constant) ++inputs;
  }
  if (common.observed_input.shown(interface)) inputs += static_cast<double>(interface.domain.elements.size());
  double total = 0;
  double width = inputs;
  for (const auto next : layers.hidden) {
    total += width * static_cast<double>(next);
    width = static_cast<double>(next);
  }
  total += width * static_cast<double>(common.latent);
  if (layers.tied) return total;
  const double last =
      layers.hidden.empty() ? static_cast<double>(common.latent) : static_cast<double>(layers.hidden.front());
  return total + last * static_cast<double>(interface.outputs) + static_cast<double>(interface.constants.size());
}

// Batch or layer normalisation with a learned scale and shift: what torch::nn::BatchNorm1d and LayerNorm do, of several
// members each by its own block of samples.
class NormImpl : public torch::nn::Module {
 public:
  NormImpl(bool batch, std::int64_t width, std::int64_t members)
      : members_(members),
        weight_(register_parameter("weight", torch::ones(stacked_shape(members, {width})))),
        bias_(register_parameter("bias", torch::zeros(stacked_shape(members, {width})))) {
    if (!batch) return;
    running_mean_ = register_buffer("running_mean", torch::zeros(stacked_shape(members, {width})));
    running_var_ = register_buffer("running_var", torch::ones(stacked_shape(members, {width})));
    batches_ = register_buffer("num_batches_tracked", torch::zeros(stacked_shape(members, {}), torch::kInt64));
  }
  torch::Tensor forward(const torch::Tensor& x) {
    namespace F = torch::nn::functional;
    const std::int64_t width = x.size(1);
    if (!running_mean_.defined()) {
      auto options = F::LayerNormFuncOptions({width}).eps(kNormEpsilon);
      if (members_ == 1) return F::layer_norm(x, options.weight(weight_).bias(bias_));
      const auto blocks = F::layer_norm(x, options).view({members_, -1, width});
      return torch::addcmul(bias_.unsqueeze(1), blocks, weight_.unsqueeze(1)).flatten(0, 1);
    }
    if (is_training()) batches_ += 1;
    const auto options = F::BatchNormFuncOptions()
                             .weight(weight_.flatten())
                             .bias(bias_.flatten())
                             .training(is_training())
                             .eps(kNormEpsilon)
                             .momentum(kNormMomentum);
    const auto normalised = [&](const torch::Tensor& columns) {
      return F::batch_norm(columns, running_mean_.flatten(), running_var_.flatten(), options);
    };
    if (members_ == 1) return normalised(x);
    // The members' columns side by side: [samples of a block, members * width].
    const auto columns = x.view({members_, -1, width}).transpose(0, 1).flatten(1);
    return normalised(columns).view({-1, members_, width}).transpose(0, 1).flatten(0, 1);
  }
  NormPlan plan() const {
    const auto kind = running_mean_.defined() ? NormKind::batch : NormKind::layer;
    return {kind, weight_, bias_, running_mean_, running_var_, batches_};
  }

 private:
  std::int64_t members_;
  torch::Tensor weight_;
  torch::Tensor bias_;
  torch::Tensor running_mean_;  // and the others: of batch normalisation only
  torch::Tensor running_var_;
  torch::Tensor batches_;
};
TORCH_MODULE(Norm);

// What is the same for all samples: [constants], of several members [members, constants].
class ConstantsImpl : public torch::nn::Module {
 public:
  ConstantsImpl(const torch::Tensor& first, std::int64_t members)
      : values_(register_parameter("values", torch::empty(stacked_shape(members, {first.size(0)})))) {
    const torch::NoGradGuard no_grad;
    values_.copy_(first);
  }
  const torch::Tensor& values() const { return values_; }

 private:
  torch::Tensor values_;
};
TORCH_MODULE(Constants);

// affine -> norm -> activation -> dropout
class HiddenImpl : public torch::nn::Module {
 public:
  HiddenImpl(Affine affine, std::int64_t width, const Layers& layers, std::int64_t members)
      : activation_(layers.hidden_layer.activation), dropout_(layers.dropout) {
    affine_ = register_module("affine", std::move(affine));
    if (layers.hidden_layer.norm != "none")
      norm_ = register_module("norm", Norm(layers.hidden_layer.norm == "batch", width, members));
  }
  torch::Tensor forward(torch::Tensor x) {
    x = affine_->forward(x);
    if (norm_) x = norm_->forward(x);
    x = activate(activation_, x);
    if (dropout_ == 0 || !is_training()) return x;
    const double kept = 1 - dropout_;
    return x * BatchPart::draw(x, [&](at::Tensor& factors) { factors.bernoulli_(kept).div_(kept); });
  }
  LayerPlan plan() const { return {affine_->plan(), norm_ ? norm_->plan() : NormPlan{}, activation_, dropout_}; }

 private:
  std::string activation_;
  Affine affine_{nullptr};
  Norm norm_{nullptr};
  double dropout_;
};
TORCH_MODULE(Hidden);

// stem -> hidden... -> latent (or mean and log-variance) -> mirrored hidden... -> outputs
class DenseNetwork final : public ModuleNetwork {
 public:
  DenseNetwork(const Common& common, const Layers& layers, bool variational, const Interface& interface,
               std::int64_t members)
      : latent_(common.latent),
        variational_(variational),
        batch_statistics_(layers.hidden_layer.norm == "batch"),
        elements_(std::ssize(interface.domain.elements)) {
    // Before the stacked weights are made, so that the first members' weights do not depend on how many there are.
    for (std::int64_t m = 0; members > 1 && m < members; ++m) {
      members_.push_back(std::make_shared<DenseNetwork>(common, layers, variational, interface, 1));
    }
    stem_ = root_.register_module(
        "stem", Stem(interface.domain.elements, common.embedding, common.observed_input.shown(interface), members));
    std::vector<Affine> encoders;
    std::int64_t width = stem_->inputs();
    for (std::size_t i = 0; i < layers.hidden.size(); ++i) {
      encoders.emplace_back(Affine(width, layers.hidden[i], members));
      width = layers.hidden[i];
      encoder_.emplace_back(
          root_.register_module("encoder_" + std::to_string(i), Hidden(encoders.back(), width, layers, members)));
    }
    bottleneck_ = root_.register_module("bottleneck", Affine(width, latent_, members));
    encoders.push_back(bottleneck_);
    if (variational_) log_variance_ = root_.register_module("log_variance", Affine(width, latent_, members));

    width = latent_;
    for (std::size_t i = layers.hidden.size(); i-- > 0;) {
      const std::int64_t out = layers.hidden[i];
      auto affine = mirrored(encoders[i + 1], width, out, layers.tied, members);
      width = out;
      decoder_.emplace_back(
          root_.register_module("decoder_" + std::to_string(decoder_.size()), Hidden(affine, width, layers, members)));
    }
    output_ =
        root_.register_module("output", mirrored(encoders.front(), width, interface.outputs, layers.tied, members));
    if (!interface.constants.empty()) {
      const auto first = torch::tensor(interface.constants, torch::kFloat64).to(torch::kFloat32);
      constants_ = root_.register_module("constants", Constants(first, members));
    }
    stack_members(*this, members_);
  }

  Code encode(const Batch& batch) override {
    auto x = stem_->forward(batch);
    for (auto& layer : encoder_) x = layer->forward(x);
    const auto latent = bottleneck_->forward(x);
    if (!variational_) return {latent, {}, {}};
    return variational_code(latent, log_variance_->forward(x), training());
  }

  Output forward(const Batch& batch) override {
    const bool plain = !torch::GradMode::is_enabled() && !training() && answers_samples_apart() &&
                       batch.values.scalar_type() == torch::kFloat32;
    return plain ? fused(batch) : Network::forward(batch);
  }
  bool answers_samples_apart() const override { return output_->parameters().front().scalar_type() == torch::kFloat32; }

  torch::Tensor decode(const torch::Tensor& latent) override {
    auto x = latent;
    for (auto& layer : decoder_) x = layer->forward(x);
    return followed(output_->forward(x));
  }

  std::int64_t latent_size() const override { return latent_; }
  bool variational() const override { return variational_; }
  bool uses_batch_statistics() const override { return batch_statistics_ && !encoder_.empty(); }

  std::int64_t members() const override { return std::max<std::int64_t>(1, std::ssize(members_)); }
  std::shared_ptr<Network> member(std::int64_t m) override {
    return members_.empty() ? nullptr : members_.at(static_cast<std::size_t>(m));
  }
  std::optional<DensePlan> dense_plan() const override {
    DensePlan plan;
    plan.members = members();
    plan.elements = elements_;
    plan.stem = stem_->plan();
    for (const auto& layer : encoder_) plan.layers.push_back(layer->plan());
    plan.bottleneck = plan.layers.size();
    plan.layers.push_back({bottleneck_->plan(), {}, "", 0});
    if (variational_) plan.log_variance.push_back(log_variance_->plan());
    for (const auto& layer : decoder_) plan.layers.push_back(layer->plan());
    plan.layers.push_back({output_->plan(), {}, "", 0});
    if (constants_) plan.constants = constants_->values();
    return plan;
  }
  void begin_outputs(const at::Tensor& outputs) override {
    const torch::NoGradGuard no_grad;
    const auto bias = output_->plan().bias;
    const auto first = outputs.to(bias.scalar_type()).expand_as(bias);
    at::Tensor(bias).copy_(torch::where(first.isnan(), bias, first));
  }
  at::Tensor gather_parameters() override {
    if (gathered_.defined()) return gathered_;
    const torch::NoGradGuard no_grad;
    const auto padded = [](std::int64_t count) {
      return (count + kParameterAlignment - 1) / kParameterAlignment * kParameterAlignment;
    };
    std::int64_t size = 0;
    for (const auto& [name, tensor] : parameters()) size += padded(tensor.numel() / members());
    gathered_ = torch::zeros({members(), size}, parameters().front().second.options().requires_grad(false));
    std::int64_t offset = 0;
    for (const auto& [name, tensor] : parameters()) {
      auto strides = tensor.strides().vec();
      if (members() > 1) strides[0] = size;
      auto parameter = tensor;
      const auto view = gathered_.as_strided(tensor.sizes(), strides, offset);
      view.copy_(parameter);
      parameter.set_data(view);
      offset += padded(tensor.numel() / members());
    }
    stack_members(*this, members_);
    return gathered_;
  }
  void to_double() override {
    gathered_ = at::Tensor();
    for (auto& member : members_) member->to_double();
    ModuleNetwork::to_double();
    stack_members(*this, members_);
  }

 private:
  // The decoder layer that undoes `encoder`: tied when asked and the shapes allow it.
  static Affine mirrored(Affine& encoder, std::int64_t in, std::int64_t out, bool tied, std::int64_t members) {
    if (tied && encoder->in() == out) return Affine(*encoder, out);
    return Affine(in, out, members);
  }

  // Predictions with the constants behind them.
  torch::Tensor followed(const torch::Tensor& prediction) const {
    if (!constants_) return prediction;
    const auto& values = constants_->values();
    const auto of_members = members_.empty() ? values.unsqueeze(0) : values;
    return torch::cat({prediction, of_members.repeat_interleave(prediction.size(0) / members(), 0)}, 1);
  }

  // Without gradients and LibTorch's overhead. Members and rows stay apart, as Network says. Matrix products of
  // different heights, or by several threads, may differ in the last bit: all are of one height and by one thread each.
  Output fused(const Batch& batch) const {
    const auto plan = std::make_shared<const DensePlan>(*dense_plan());
    const std::int64_t rows = batch.samples() / plan->members, elements = plan->elements;
    const std::int64_t height = piece_rows(elements);
    const auto values = batch.values.contiguous(), observed = batch.observed.contiguous();
    Output output;
    output.prediction = torch::empty({batch.samples(), plan->layers.back().affine.out});
    output.code.latent = torch::empty({batch.samples(), latent_});
    if (variational_) {
      output.code.mean = output.code.latent;
      output.code.log_variance = torch::empty({batch.samples(), latent_});
    }
    const auto copy = [](const float* from, const at::Tensor& to, std::int64_t begin, std::int64_t count) {
      std::copy(from, from + count * to.size(1), to.data_ptr<float>() + begin * to.size(1));
    };
    const std::int64_t pieces = (rows + height - 1) / height, all = plan->members * pieces;
    const std::int64_t of_each = std::max<std::int64_t>(1, (all + threads_in_use() - 1) / threads_in_use());
    share_out(all, of_each, [&](std::int64_t first, std::int64_t end) {
      const SerialBlas serial;  // where there is nothing to share out
      DenseForward::Workspace workspace;
      std::vector<float> last;  // a piece that is not whole, padded
      for (std::int64_t piece = first; piece < end; ++piece) {
        const std::int64_t member = piece / pieces, from = piece % pieces * height;
        const std::int64_t begin = member * rows + from, count = std::min(height, rows - from);
        const float* of_values = values.data_ptr<float>() + begin * elements;
        const float* of_observed = observed.data_ptr<float>() + begin * elements;
        if (count < height) {
          last.assign(static_cast<std::size_t>(2 * height * elements), 0.0f);
          of_observed = std::copy_n(of_observed, count * elements, last.data() + height * elements) - count * elements;
          of_values = std::copy_n(of_values, count * elements, last.data()) - count * elements;
        }
        const DenseForward network(plan, member);
        copy(network.run(workspace, {height, of_values, of_observed}, false, 0), output.prediction, begin, count);
        copy(workspace.layers[plan->bottleneck].value, output.code.latent, begin, count);
        if (variational_) copy(workspace.log_variance, output.code.log_variance, begin, count);
      }
    });
    output.prediction = followed(output.prediction);
    return output;
  }

  std::int64_t latent_;
  bool variational_;
  bool batch_statistics_;
  std::int64_t elements_;
  Stem stem_{nullptr};
  std::vector<Hidden> encoder_;
  Affine bottleneck_{nullptr};
  Affine log_variance_{nullptr};
  std::vector<Hidden> decoder_;
  Affine output_{nullptr};
  Constants constants_{nullptr};
  std::vector<std::shared_ptr<DenseNetwork>> members_;  // none of a single network
  at::Tensor gathered_;                                 // undefined until gather_parameters()
};

// A network of rows that reads images, each as one long row: all pixels of the first channel, then those of the next.
class ImagesAsRows final : public NetworkAround {
 public:
  ImagesAsRows(std::unique_ptr<Network> rows, std::vector<std::int64_t> grid, std::int64_t outputs)
      : NetworkAround(std::move(rows)), grid_(std::move(grid)), outputs_(outputs) {}

  // Of an image's domain, that of the rows.
  static Interface rows_of(const Interface& images) {
    const auto positions = images.domain.positions();
    std::vector<Element> elements;
    for (const auto& channel : images.domain.elements)
      elements.insert(elements.end(), static_cast<std::size_t>(positions), channel);
    return {Domain(std::move(elements)), images.outputs * positions, images.observed_matters, {}};
  }

  Code encode(const Batch& batch) override { return rows().encode(row_batch(batch)); }
  at::Tensor decode(const at::Tensor& latent) override { return images(rows().decode(latent)); }
  Output forward(const Batch& batch) override {
    auto output = rows().forward(row_batch(batch));
    output.prediction = images(output.prediction);
    return output;
  }
  void begin_outputs(const at::Tensor& outputs) override {
    rows().begin_outputs(outputs.repeat_interleave(grid_[0] * grid_[1]));
  }

 private:
  // Around 0 for pixels in [0, 1]; what is not observed is 0.
  Batch row_batch(const Batch& batch) const {
    if (batch.values.size(2) != grid_[0] || batch.values.size(3) != grid_[1])
      throw std::logic_error("a dense network of images is given another size");
    return {(batch.values * 2 - 1).flatten(1), batch.observed.flatten(1), batch.sizes};
  }
  at::Tensor images(const at::Tensor& prediction) const {
    return prediction.view({prediction.size(0), outputs_, grid_[0], grid_[1]});
  }

  std::vector<std::int64_t> grid_;
  std::int64_t outputs_;  // of a pixel
};

// Fully connected families: they differ in what users may choose.
class FullyConnected : public Family {
 public:
  std::unique_ptr<Network> build(const Interface& interface) const override {
    return std::make_unique<DenseNetwork>(common_, layers_, variational(), interface, members_);
  }
  double weights(const Interface& interface) const override {
    return static_cast<double>(members_) * weights_at_least(common_, layers_, interface);
  }
  bool has_constants() const override { return true; }

 protected:
  Common common_;
  Layers layers_;
  std::int64_t members_ = 1;
};

class DenseFamily final : public FullyConnected {
 public:
  void fields(config::Fields& f) override {
    layers_.fields(f, true);
    common_.fields(f);
    common_.observed_input.field(f, Elements::cells);
    members_field(f, members_);
  }
};

class DenseImagesFamily final : public FullyConnected {
 public:
  DenseImagesFamily() {
    common_.latent = 64;
    layers_.hidden = {400, 400};
  }
  void fields(config::Fields& f) override {
    layers_.fields(f, true, Elements::pixels);
    common_.latent_field(f);
    common_.observed_input.field(f, Elements::pixels);
  }
  std::unique_ptr<Network> build(const Interface& interface) const override {
    return std::make_unique<ImagesAsRows>(FullyConnected::build(ImagesAsRows::rows_of(interface)),
                                          interface.domain.grid, interface.outputs);
  }
  double weights(const Interface& interface) const override {
    return FullyConnected::weights(ImagesAsRows::rows_of(interface));
  }
  bool has_constants() const override { return false; }
  bool reads_grids() const override { return true; }
  bool reads_any_size() const override { return false; }
};

// Without hidden layers and non-linearity the best reconstruction by squared error is the projection on the leading
// principal components (Baldi and Hornik 1989).
class LinearFamily final : public FullyConnected {
 public:
  LinearFamily() {
    common_.observed_input.choice = "no";
    layers_.hidden.clear();
  }
  void fields(config::Fields& f) override { common_.fields(f); }
};

class VariationalFamily final : public FullyConnected {
 public:
  void fields(config::Fields& f) override {
    layers_.fields(f, false);
    common_.fields(f);
    common_.observed_input.field(f, Elements::cells);
    members_field(f, members_);
  }
  bool variational() const override { return true; }
};

}  // namespace

std::unique_ptr<Family> make_dense() { return std::make_unique<DenseFamily>(); }
std::unique_ptr<Family> make_dense_images() { return std::make_unique<DenseImagesFamily>(); }
std::unique_ptr<Family> make_linear() { return std::make_unique<LinearFamily>(); }
std::unique_ptr<Family> make_variational() { return std::make_unique<VariationalFamily>(); }

Output Network::forward(const Batch& batch) {
  Code code = encode(batch);
  auto prediction = decode(code.latent);
  return {std::move(prediction), std::move(code)};
}

at::Tensor Network::gather_parameters() { throw std::logic_error("not a dense network"); }

NamedTensors Parameters::state() const {
  NamedTensors all = parameters();
  for (auto& buffer : buffers()) all.push_back(std::move(buffer));
  return all;
}

std::int64_t Parameters::parameter_count() const {
  std::int64_t count = 0;
  for (const auto& [name, tensor] : parameters()) count += tensor.numel();
  return count;
}

}  // namespace ae::model
