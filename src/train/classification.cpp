// The objective "classification": a small network that tells the classes of images, for those who have none to attack
// or to ask; also trained on attacked images (Madry et al., Towards deep learning models resistant to adversarial
// attacks, 2018).
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>

#include "attack/attacks.hpp"
#include "base/error.hpp"
#include "base/files.hpp"
#include "base/random.hpp"
#include "base/signals.hpp"
#include "base/text.hpp"
#include "base/version.hpp"
#include "evaluate/model_file.hpp"
#include "evaluate/rate_text.hpp"
#include "recipe/checkpoint.hpp"
#include "recipe/config.hpp"
#include "train/clip_gradients.hpp"
#include "train/image_classifier.hpp"
#include "train/makers.hpp"
#include "train/process_group.hpp"
#include "train/trainee.hpp"

namespace ae::train {
namespace {

constexpr std::array<config::Choice, 2> kClassifierNetworks{{
    {"cnn", "two convolutions of 5 x 5 with maxima over 2 x 2, and a hidden layer"},
    {"mlp", "two hidden layers"},
}};

// What the config says of it.
struct ClassificationSettings {
  std::string network = "cnn";
  std::int64_t width = 16;
  double eps = 0;
  std::int64_t steps = 5;
  std::optional<double> step_size;
  double attacked = 1;
  bool attacks() const { return eps > 0; }
};

// Losses: what is trained for, then of the images as they are the mean cross-entropy and the share that is wrong, and,
// when images are attacked, the same two of attacked ones. Held-out images are all attacked, and judged by that.
class ClassificationSteps final : public Objective {
 public:
  ClassificationSteps(const ImageClassifier& classifier, const recipe::Dataset& data,
                      const ClassificationSettings& settings, const recipe::TrainingOptions& training)
      : classifier_(classifier),
        data_(data),
        settings_(settings),
        training_(training),
        optimizer_(training.optimizer->build(classifier.parameters())) {
    for (const auto& [name, tensor] : classifier.parameters()) tensors_.push_back(tensor);
  }

  std::vector<std::string> part_names() const override {
    if (!settings_.attacks()) return {"cross_entropy", "error"};
    return {"cross_entropy", "error", "attacked_cross_entropy", "attacked_error"};
  }
  std::int64_t training_samples() const override { return data_.training->size(); }

  std::vector<double> step(const std::vector<std::int64_t>& samples, const StepContext& context) override {
    torch::manual_seed(context.key);  // of what is done to images as they are drawn
    auto images = data_.training->batch(samples).values;
    std::vector<std::int64_t> classes;
    for (const auto i : samples) classes.push_back(data_.classes->training.at(static_cast<std::size_t>(i)));
    const auto labels = torch::tensor(classes, at::kLong);
    const auto count = std::ssize(samples);
    const auto attacked_count =
        settings_.attacks() ? static_cast<std::int64_t>(std::ceil(settings_.attacked * static_cast<double>(count))) : 0;
    std::vector<double> parts;
    if (attacked_count > 0) {
      parts = judged(classifier_.logits(images).detach(), labels);
      const auto attacked = turned({images.narrow(0, 0, attacked_count),
                                    labels.narrow(0, 0, attacked_count),
                                    {samples.begin(), samples.begin() + attacked_count}},
                                   context.key);
      images = torch::cat({attacked, images.narrow(0, attacked_count, count - attacked_count)});
    }
    optimizer_->zero_gradients();
    const auto logits = classifier_.logits(images);
    const auto loss = attack::losses(attack::Loss::ce, logits, labels).mean();
    loss.backward();
    if (training_.clip_gradient) clip_gradients(tensors_, 1, *training_.clip_gradient);
    optimizer_->step(context.learning_rate);
    std::vector<double> losses{loss.item<double>()};
    if (attacked_count > 0) {
      const auto of_attacked =
          judged(logits.detach().narrow(0, 0, attacked_count), labels.narrow(0, 0, attacked_count));
      parts.insert(parts.end(), of_attacked.begin(), of_attacked.end());
    } else {
      parts = judged(logits.detach(), labels);
    }
    losses.insert(losses.end(), parts.begin(), parts.end());
    return losses;
  }

  bool has_validation() const override { return data_.held_out->size() > 0; }

  std::vector<double> validate() override {
    constexpr std::int64_t kPixelsAtOnce = 1 << 18, kMostAtOnce = 512;
    const auto at_once = std::clamp<std::int64_t>(kPixelsAtOnce / data_.domain().positions(), 1, kMostAtOnce);
    const auto key = stream_key(static_cast<std::uint64_t>(training_.seed), "validation attack");
    std::vector<double> sums(part_names().size(), 0.0);
    const std::int64_t size = data_.held_out->size();
    for (std::int64_t begin = 0; begin < size; begin += at_once) {
      throw_if_stopped("validation");
      const std::int64_t end = std::min(begin + at_once, size);
      const auto images = data_.held_out->range(begin, end).values;
      const auto labels = torch::tensor(
          std::vector(data_.classes->held_out.begin() + begin, data_.classes->held_out.begin() + end), at::kLong);
      auto parts = judged(logits_alone(images), labels);
      if (settings_.attacks()) {
        std::vector<std::int64_t> numbers;
        for (auto i = begin; i < end; ++i) numbers.push_back(i);
        const auto of_attacked = judged(logits_alone(turned({images, labels, numbers}, key)), labels);
        parts.insert(parts.end(), of_attacked.begin(), of_attacked.end());
      }
      for (std::size_t p = 0; p < sums.size(); ++p) sums[p] += parts[p] * static_cast<double>(end - begin);
    }
    for (double& sum : sums) sum /= static_cast<double>(size);
    sums.insert(sums.begin(), sums[settings_.attacks() ? 2 : 0]);
    return sums;
  }

  model::NamedTensors weights() const override { return classifier_.parameters(); }
  void save_state(recipe::Arrays& arrays) const override { optimizer_->save("optimizer.", arrays); }
  void restore_state(const recipe::Arrays& arrays) override { optimizer_->restore("optimizer.", arrays); }

 private:
  at::Tensor logits_alone(const at::Tensor& images) const {
    const torch::NoGradGuard no_grad;
    return classifier_.logits(images);
  }

  static std::vector<double> judged(const at::Tensor& logits, const at::Tensor& labels) {
    const torch::NoGradGuard no_grad;
    return {attack::losses(attack::Loss::ce, logits, labels).mean().item<double>(),
            (logits.argmax(1) != labels).to(at::kDouble).mean().item<double>()};
  }

  at::Tensor turned(const attack::Attacked& images, std::uint64_t key) const {
    return attack::TrainingAttack{settings_.eps, settings_.steps, settings_.step_size}.run(
        [this](const at::Tensor& x) { return classifier_.logits(x); }, images, key);
  }

  const ImageClassifier& classifier_;
  const recipe::Dataset& data_;
  const ClassificationSettings& settings_;
  const recipe::TrainingOptions& training_;
  std::unique_ptr<recipe::Optimizer> optimizer_;
  std::vector<at::Tensor> tensors_;
};

class Classification final : public Trainee {
 public:
  Classification(recipe::Config& config, const recipe::Dataset& data, const ClassificationSettings& settings,
                 const Group& group)
      : config_(config),
        data_(data),
        settings_(settings),
        classifier_(shape_of(checked(config, data, group), settings), first_key(config)) {}

  std::int64_t parameter_count() const override {
    std::int64_t sum = 0;
    for (const auto& [name, tensor] : classifier_.parameters()) sum += tensor.numel();
    return sum;
  }
  Work work() const override {
    // A step is a forward pass and about twice as much for the gradients.
    return {3 * classifier_.operations() * static_cast<double>(config_.training.batch_size), model::Pool::openmp};
  }
  Objective* begin() override { return &steps_.emplace(classifier_, data_, settings_, config_.training); }

  void publish(const recipe::Arrays& best, const Publication& to) override {
    const ImageClassifier finished(classifier_.shape(), 0);
    recipe::restore_tensors("", finished.parameters(), best, "best weights");
    constexpr std::size_t kDigits = 8;
    write_file(evaluate::classifier_beside(to.model),
               classifier_script(finished, data_.classes->names,
                                 "ae-train " + version() + " (" + git_hash() + "), of the data " +
                                     data_.data_sha256.substr(0, kDigits)));
    recipe::write_classifier(to.model, {config_, *data_.kind, data_.classes->names, best, to.training});
  }

  std::string ending(const std::filesystem::path& model, std::span<const double> training,
                     std::span<const double> held_out) const override {
    const auto losses = held_out.empty() ? training : held_out;
    constexpr std::size_t kError = 2, kAttackedError = 4;
    const std::string of = held_out.empty() ? "training" : "held-out";
    std::string text = evaluate::classifier_beside(model).string() + ": a classifier of " +
                       std::to_string(data_.classes->names.size()) + " classes, " + of + " accuracy " +
                       evaluate::percent_text(1 - losses[kError], 2);
    if (settings_.attacks())
      text +=
          ", attacked by " + number_text(settings_.eps) + " " + evaluate::percent_text(1 - losses[kAttackedError], 2);
    return text + "; for ae-attack, ae-purify --classifier and torch.jit.load";
  }

 private:
  static std::uint64_t first_key(const recipe::Config& config) {
    return stream_key(static_cast<std::uint64_t>(config.training.seed), "classifier");
  }
  static const recipe::Dataset& checked(recipe::Config& config, const recipe::Dataset& data, const Group& group) {
    config.training.resolve(false);
    if (config.model->has_network())
      throw UsageError("/model/type: " + ae::quoted(config.model.type()) +
                       " is an autoencoder, and the network of a classifier is /objective/network; set \"model\": "
                       "{\"type\": \"none\"}");
    refuse(config.training.corruption.size() > 0, "/training/corruption", "use /data/augment, or /objective/eps");
    refuse(config.training.trim > 0, "/training/trim", "set it to 0");
    refuse(config.training.engine == "dense", "/training/engine", "set it to \"auto\"");
    if (group.size() > 1)
      throw UsageError("/objective/type: classification is trained by one process, here are " +
                       std::to_string(group.size()) + "; start ae-train once, with --threads");
    return data;
  }
  static void refuse(bool given, const char* setting, const char* fix) {
    if (given)
      throw UsageError(std::string(setting) + ": is of reconstruction, and the objective is classification; " + fix);
  }
  static ClassifierShape shape_of(const recipe::Dataset& data, const ClassificationSettings& settings) {
    const auto images = data.training->range(0, 1).values;
    return {settings.network == "cnn",      settings.width, images.size(1), images.size(2), images.size(3),
            std::ssize(data.classes->names)};
  }

  recipe::Config& config_;
  const recipe::Dataset& data_;
  const ClassificationSettings& settings_;
  ImageClassifier classifier_;
  std::optional<ClassificationSteps> steps_;
};

class ClassificationOptions final : public recipe::ObjectiveOptions {
 public:
  void fields(config::Fields& f) override {
    auto& s = settings_;
    f.choice("network", s.network, kClassifierNetworks, "What the classifier is made of.");
    f.integer("width", s.width, {1, 4096},
              "Channels of the first convolution; the second has twice, a hidden layer 8 times as many.");
    f.number("eps", s.eps, {0, 1},
             "Trains on images that are changed so that the classifier gets them wrong, each pixel by at most this, as "
             "pixels are from 0 to 1; 0 trains on images as they are.");
    f.integer("steps", s.steps, {1, 1000}, "Steps of that attack along the gradient, from a random start.");
    f.optional_number("step_size", s.step_size, {0, 1, true},
                      "How far such a step changes a pixel; null: 2.5 * eps / steps.");
    f.number("attacked", s.attacked, {0, 1, true}, "Share of each batch that is attacked, where eps is above 0.");
  }
  bool needs_classes() const override { return true; }
  std::unique_ptr<Trainee> build(recipe::Config& config, const recipe::Dataset& data, Group& group) const override {
    return std::make_unique<Classification>(config, data, settings_, group);
  }

 private:
  ClassificationSettings settings_;
};

}  // namespace

const config::Entry<recipe::ObjectiveOptions> kClassification{
    "classification",
    "Tell the classes of images: a small classifier, as TorchScript, for ae-attack, ae-purify --classifier and "
    "PyTorch.",
    [] { return std::unique_ptr<recipe::ObjectiveOptions>(std::make_unique<ClassificationOptions>()); }};

}  // namespace ae::train
