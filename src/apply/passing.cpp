#include "apply/passing.hpp"

#include <cmath>
#include <set>
#include <utility>

#include "base/error.hpp"
#include "base/text.hpp"

namespace ae::apply {

Passing::Passing(const data::Reading& reading, std::vector<std::string> codes) : codes_(std::move(codes)) {
  std::set<std::string> taken(codes_.begin(), codes_.end());
  for (const auto& name : reading.keep) {
    if (name == "id" || name == "label") continue;  // they are there anyway
    if (!taken.insert(name).second) {
      throw UsageError("--keep " + ae::quoted(name) +
                       ": the codes have a column of that name, or it is given twice; rename it in the input");
    }
    kept_.push_back(name);
  }
}

void Passing::begin(CodeFile& file, bool labels) {
  labels_ = labels;
  std::vector<std::string> texts;
  if (labels) texts.emplace_back("label");
  texts.insert(texts.end(), kept_.begin(), kept_.end());
  file.begin(codes_, texts);
}

std::string Passing::id_of(const recipe::SampleBlock& block, std::int64_t sample) {
  const auto at = static_cast<std::size_t>(sample);
  return block.ids.empty() ? std::to_string(block.numbers[at]) : block.ids[at];
}

bool Passing::unread(const recipe::SampleBlock& block, std::int64_t sample) {
  return !block.problems.empty() && !block.problems[static_cast<std::size_t>(sample)].empty();
}

std::vector<std::string> Passing::texts_of(const recipe::SampleBlock& block, std::int64_t sample) const {
  const auto at = static_cast<std::size_t>(sample);
  std::vector<std::string> texts;
  if (labels_) texts.push_back(block.labels.empty() ? "" : block.labels[at]);
  for (std::size_t k = 0; k < kept_.size(); ++k) texts.push_back(block.kept_text(sample, k));
  return texts;
}

void check_finite(std::span<const float> code, const std::string& id) {
  for (const float number : code) {
    if (std::isfinite(number)) continue;
    throw RunError("sample " + ae::quoted(id) + ": its code holds " + number_text(static_cast<double>(number)) +
                   "; the model is not usable for such values");
  }
}

void check_any(std::int64_t coded, const recipe::BadSamples& bad, bool allow_empty) {
  if (coded > 0) return;
  if (bad.count > 0) {
    throw InputError("none of the " + std::to_string(bad.count) + " samples could be read (the first: " + bad.first +
                     ")");
  }
  if (!allow_empty) throw InputError("the input has no samples");
}

void UnreadSamples::tell(const std::string& problem) {
  constexpr std::int64_t kNamed = 10;
  if (++count_ <= kNamed) reporter_.warning(problem);
  if (count_ == kNamed + 1) reporter_.warning("more rows cannot be read; they are counted at the end");
}

}  // namespace ae::apply
