#include "apply/detectors.hpp"

#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "apply/named_choice.hpp"
#include "base/counted.hpp"
#include "base/error.hpp"
#include "base/text.hpp"

namespace ae::apply {
namespace {

at::Tensor mean_absolute(const Suspect& suspect, double) {
  return (suspect.images - suspect.reconstructions).abs().flatten(1).mean(1);
}

at::Tensor mean_square(const Suspect& suspect, double) {
  return (suspect.images - suspect.reconstructions).square().flatten(1).mean(1);
}

// H(m) - (H(p) + H(q)) / 2 of the answers p and q at a temperature, and m their mean, in nats.
at::Tensor jensen_shannon(const Suspect& suspect, double temperature) {
  const auto p = (suspect.classifier.logits(suspect.images) / temperature).log_softmax(1);
  const auto q = (suspect.classifier.logits(suspect.reconstructions.clamp(0, 1)) / temperature).log_softmax(1);
  const auto m = at::logaddexp(p, q) - std::log(2.0);
  return 0.5 * (p.exp() * (p - m) + q.exp() * (q - m)).sum(1);
}

constexpr std::array kDetectorKinds{
    DetectorKind{"l1", {}, "the mean change of a pixel by the model's reconstruction", mean_absolute},
    DetectorKind{"l2", {}, "the mean of the squares of these changes", mean_square},
    DetectorKind{"jsd",
                 {{{"T", 1e-3, 1e6, 10}}},
                 "the Jensen-Shannon divergence of the classifier's answers to an image and to its reconstruction, "
                 "their logits divided by T",
                 jensen_shannon},
};

}  // namespace

std::span<const DetectorKind> detector_kinds() { return kDetectorKinds; }

Detectors::Detectors(std::span<const std::string> texts) {
  for (const auto& text : texts) {
    const auto [kind, values] = named_choice("--detector", text, kDetectorKinds);
    const auto value = values.front();
    auto name = std::string(kind->name) + (kind->values.front().name.empty() ? "" : ":" + number_text(value));
    if (std::ranges::find(names_, name) != names_.end())
      throw UsageError("--detector: " + ae::quoted(name) + " is named twice; leave one of them out");
    names_.push_back(std::move(name));
    chosen_.push_back({kind, value});
  }
}

at::Tensor Detectors::scores(const Suspect& suspect) const {
  std::vector<at::Tensor> scores;
  for (const auto& [kind, value] : chosen_) scores.push_back(kind->score(suspect, value));
  return torch::stack(scores, 1);
}

void Detectors::calibrate(const at::Tensor& clean, double share) {
  const auto count = clean.size(0);
  // .15 of three detectors and 20 images is one, though not in binary fractions.
  constexpr double kRounding = 1e-9;
  const auto above =
      static_cast<std::int64_t>(share * static_cast<double>(count) / static_cast<double>(chosen_.size()) + kRounding);
  if (above < 1)
    throw InputError("--clean: " + counted(count, "images") + " cannot tell a share of " + number_text(share) +
                     (chosen_.size() > 1 ? " of " + counted(std::ssize(chosen_), "detectors") : "") +
                     " false alarms; " + "give more of them, or a larger --false-positives");
  thresholds_ = std::get<0>(clean.sort(0)).select(0, count - 1 - above).contiguous();
}

at::Tensor Detectors::flagged(const at::Tensor& scores) const { return (scores > thresholds_).any(1); }

}  // namespace ae::apply
