// The objective "adversarial_reconstruction": a purifier that has seen attacks. Images are changed, within eps, by
// projected gradient ascent (Madry et al. 2018) through the autoencoder and a classifier that stays as it is; the loss
// is that of reconstructing the clean image, and the cross-entropy of the classifier's answer to the reconstruction
// with the class that it gives the clean image. Or both learn: then the classes are those of the classifier at first.
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <limits>
#include <numeric>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "attack/attacks.hpp"
#include "base/counted.hpp"
#include "base/error.hpp"
#include "base/files.hpp"
#include "base/text.hpp"
#include "config/fields.hpp"
#include "evaluate/model_file.hpp"
#include "train/makers.hpp"
#include "train/reconstruct.hpp"
#include "victim/classifier.hpp"

namespace ae::train {
namespace {

constexpr std::array<config::Choice, 2> kOutputsOfClassifiers{{
    {"logits", "any numbers, of which the largest decides"},
    {"probabilities", "of which the logarithm is taken"},
}};

class AttackingAdversary final : public Adversary {
 public:
  // `learner`: a second one of the same file, which is attacked and trained in its place.
  AttackingAdversary(const attack::TrainingAttack& attack, double weight, victim::Classifier classifier,
                     std::optional<victim::Classifier> learner)
      : attack_(attack), weight_(weight), classifier_(std::move(classifier)), learner_(std::move(learner)) {
    if (!learner_) return;
    parameters_ = learner_->train_parameters();
    if (parameters_.empty())
      throw UsageError("/objective/train_classifier: " + classifier_.name() +
                       " has no parameters, as networks do that were frozen; save it without torch.jit.freeze, or set "
                       "it to false");
  }

  std::string part_name() const override { return "cross_entropy"; }
  double weight() const override { return weight_; }

  Round play(const loss::Autoencoder& autoencoder, const model::Batch& input, const model::Batch& target,
             std::uint64_t key, std::int64_t number) const override {
    attack::Attacked attacked{input.values, {}, std::vector<std::int64_t>(static_cast<std::size_t>(input.samples()))};
    {
      const torch::NoGradGuard no_grad;
      attacked.labels = classifier_.logits(target.values).argmax(1);
    }
    std::iota(attacked.numbers.begin(), attacked.numbers.end(), number);
    const auto images = attack_.run(
        [&](const at::Tensor& x) {
          return attacked_classifier().logits(autoencoder.differentiable_expected({x, input.observed}).clamp(0, 1));
        },
        attacked, key);
    return {{images, input.observed, input.sizes}, attacked.labels};
  }

  at::Tensor loss(const Round& round, const at::Tensor& expected) const override {
    return attack::losses(attack::Loss::ce, attacked_classifier().logits(expected.clamp(0, 1)), round.answers);
  }

  const model::NamedTensors& parameters() const override { return parameters_; }
  void publish(const model::NamedTensors& parameters, const std::filesystem::path& model) const override {
    if (learner_) write_file(evaluate::classifier_beside(model), learner_->with(parameters));
  }
  std::string ending(const std::filesystem::path& model) const override {
    if (!learner_) return "";
    return evaluate::classifier_beside(model).string() +
           ": the classifier that was trained with it; for ae-attack and ae-purify --classifier";
  }

 private:
  const victim::Classifier& attacked_classifier() const { return learner_ ? *learner_ : classifier_; }

  attack::TrainingAttack attack_;
  double weight_;
  victim::Classifier classifier_;
  std::optional<victim::Classifier> learner_;
  model::NamedTensors parameters_;  // of the learner
};

class AdversarialReconstructionOptions final : public recipe::ObjectiveOptions {
 public:
  void fields(config::Fields& f) override {
    f.path(
        "classifier", classifier_,
        "TorchScript classifier of images that is attacked, and stays as it is unless it is trained too. Such a file "
        "is a program that runs with your rights: it is opened because you name it.");
    f.boolean("train_classifier", train_classifier_,
              "Trains the classifier together with the purifier, each against attacks through both: the run's folder "
              "then holds it as classifier.pt. The classes are still those that the given one tells.");
    f.scalars("mean", mean_,
              "What the classifier's user takes from each pixel: one number, or one for each channel; [] for none.");
    f.scalars("std", deviation_, "What pixels are then divided by, likewise.");
    f.choice("outputs", outputs_, kOutputsOfClassifiers, "What the classifier gives.");
    f.number("eps", attack_.eps, {0, 1, true}, "Largest change of a pixel by the attack; pixels are from 0 to 1.");
    f.integer("steps", attack_.steps, {1, 1000}, "Steps of the attack on each batch.");
    f.optional_number("step_size", attack_.step, {0, 1, true}, "Of one step; null is 2.5 eps / steps.");
    f.number("weight", weight_, {0, std::numeric_limits<double>::infinity()},
             "Of the cross-entropy beside the loss of /loss.");
  }
  std::filesystem::path file() const override { return classifier_.resolved; }
  std::unique_ptr<Trainee> build(recipe::Config& config, const recipe::Dataset& data, Group& group) const override {
    if (!data.domain().gridded())
      throw UsageError("/objective/type: adversarial_reconstruction attacks images, the data are " +
                       std::string(data.domain().noun()) + R"(; set "objective": {"type": "reconstruction"})");
    if (classifier_.empty())
      throw UsageError("/objective/classifier: not set; name the TorchScript file of the classifier to defend");
    const auto channels = std::ssize(data.domain().elements);
    const victim::ClassifierOptions options{by_channel("mean", mean_, std::numeric_limits<double>::lowest(), channels),
                                            by_channel("std", deviation_, std::numeric_limits<double>::min(), channels),
                                            outputs_ == "probabilities"};
    constexpr std::int64_t kExamples = 8;
    const auto examples = data.training->range(0, std::min(kExamples, data.training->size())).values;
    const auto open = [&] { return victim::Classifier(classifier_.resolved, options, examples); };
    return reconstruct(
        config, data, group,
        std::make_unique<AttackingAdversary>(
            attack_, weight_, open(), train_classifier_ ? std::optional<victim::Classifier>(open()) : std::nullopt));
  }

 private:
  static std::vector<double> by_channel(const char* name, const std::vector<std::string>& texts, double lowest,
                                        std::int64_t channels) {
    std::vector<double> found;
    for (const auto& text : texts) {
      const auto number = parse_number(text);
      if (!number || !(*number >= lowest && *number <= std::numeric_limits<double>::max()))
        throw UsageError("/objective/" + std::string(name) + ": found " + ae::quoted(text) + ", expected a " +
                         (lowest > 0 ? "positive " : "") + "number");
      found.push_back(*number);
    }
    if (found.size() > 1 && std::ssize(found) != channels)
      throw UsageError("/objective/" + std::string(name) + ": found " + counted(std::ssize(found), "numbers") +
                       ", but images have " + counted(channels, "channels") +
                       "; give one number for all channels, or one for each");
    return found;
  }

  config::Path classifier_;
  bool train_classifier_ = false;
  std::vector<std::string> mean_, deviation_;
  std::string outputs_ = "logits";
  attack::TrainingAttack attack_{0.3, 5, {}};
  double weight_ = 0.05;
};

}  // namespace

const config::Entry<recipe::ObjectiveOptions> kAdversarialReconstruction{
    "adversarial_reconstruction",
    "Reconstruct images that were attacked, so that a classifier of yours takes them for what it takes the clean ones "
    "for; it stays as it is, or is trained too.",
    [] { return std::unique_ptr<recipe::ObjectiveOptions>(std::make_unique<AdversarialReconstructionOptions>()); }};

}  // namespace ae::train
