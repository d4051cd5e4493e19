#include "loss/composition.hpp"

#include <torch/torch.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "base/error.hpp"
#include "base/text.hpp"

namespace ae::loss {
namespace {

std::vector<std::string> names_of(const std::vector<model::Element>& elements) {
  std::vector<std::string> names;
  for (const auto& element : elements) names.push_back(element.name);
  return names;
}

// The elements a term's patterns select; problems go to `lines`.
std::vector<std::int64_t> selected(const Term& term, std::string_view type, const std::string& pointer,
                                   const std::vector<model::Element>& elements, std::vector<std::string>& lines) {
  std::vector<std::int64_t> chosen;
  for (std::size_t e = 0; e < elements.size(); ++e) {
    const auto matches = [&](const std::string& pattern) { return wildcard_match(pattern, elements[e].name); };
    const bool named = std::any_of(term.columns.begin(), term.columns.end(), matches);
    const bool fits = term.accepts(elements[e]);
    if (named && !fits) {
      lines.push_back(pointer + "/columns: column " + ae::quoted(elements[e].name) + " is " +
                      (elements[e].categorical() ? "categorical" : "numeric") + ", which " + std::string(type) +
                      " cannot judge; use " + (elements[e].categorical() ? "cross_entropy" : "mse") + " for it");
    }
    if (fits && (named || term.columns.empty())) chosen.push_back(static_cast<std::int64_t>(e));
  }
  for (const auto& pattern : term.columns) {
    const auto matches = [&](const model::Element& element) { return wildcard_match(pattern, element.name); };
    if (std::none_of(elements.begin(), elements.end(), matches)) {
      const auto names = names_of(elements);
      lines.push_back(pointer + "/columns: no feature column matches " + ae::quoted(pattern) +
                      did_you_mean(pattern, names));
    }
  }
  return chosen;
}

at::Tensor sum_per_sample(const at::Tensor& values) { return values.flatten(1).sum(1); }

}  // namespace

void LossOptions::fields(config::Fields& f) {
  f.variants("terms", terms, terms_set,
             "Loss terms, summed with their weights; null for mse on numbers, cross_entropy on categories and, for "
             "variational models, kl.");
}

void LossOptions::resolve(const std::vector<model::Element>& elements, bool variational) {
  if (terms_set) return;
  terms.clear();
  const auto categorical = [](const model::Element& element) { return element.categorical(); };
  if (!std::all_of(elements.begin(), elements.end(), categorical)) terms.append().select("mse");
  if (std::any_of(elements.begin(), elements.end(), categorical)) terms.append().select("cross_entropy");
  if (variational) terms.append().select("kl");
  terms_set = true;
}

Composition::Composition(const TermList& terms, const model::Domain& domain, bool variational) : domain_(domain) {
  std::vector<std::string> lines;
  std::set<std::int64_t> covered;
  bool has_kl = false;
  std::map<std::string, int> seen;
  for (std::size_t t = 0; t < terms.size(); ++t) {
    const Term& term = *terms[t];
    const std::string type(terms[t].type());
    const std::string pointer = "/loss/terms/" + std::to_string(t);
    terms_.push_back(&term);
    const int repetition = ++seen[type];
    part_names_.push_back(repetition == 1 ? type : type + "_" + std::to_string(repetition));
    if (term.needs_variational()) {
      has_kl = true;
      if (!variational) {
        lines.push_back(pointer + ": " + type +
                        " needs a variational model; remove the term or set /model/type to \"variational\"");
      }
    }
    if (term.grain() == Grain::sample) continue;
    if (term.needs_images() && !domain_.images()) {
      lines.push_back(pointer + ": " + type + " judges images, the data are a table; use mse, l1 or huber");
      continue;
    }
    const auto chosen = selected(term, type, pointer, domain_.elements, lines);
    covered.insert(chosen.begin(), chosen.end());
    if (!chosen.empty()) declare_use(t, chosen);
  }
  if (variational && !has_kl) {
    lines.emplace_back("/loss/terms: a variational model needs a kl term; add {\"type\": \"kl\"}");
  }
  std::vector<std::string> uncovered;
  for (std::size_t e = 0; e < domain_.elements.size(); ++e) {
    if (!covered.contains(static_cast<std::int64_t>(e))) uncovered.push_back(ae::quoted(domain_.elements[e].name));
  }
  if (!uncovered.empty()) {
    lines.push_back("/loss/terms: no term judges column " + ae::join(uncovered) +
                    "; add a term (mse for numbers, cross_entropy for categories) or give the column the role "
                    "\"ignore\" in /data/columns");
  }
  if (!lines.empty()) throw UsageError(std::move(lines));
  place_heads();
}

// Adds the term's elements to the heads they need, one per number of outputs.
void Composition::declare_use(std::size_t t, const std::vector<std::int64_t>& chosen) {
  const Term& term = *terms_[t];
  std::map<std::int64_t, std::vector<std::int64_t>> by_width;
  for (const auto e : chosen) by_width[term.outputs(domain_.elements[static_cast<std::size_t>(e)])].push_back(e);
  for (auto& [width, group] : by_width) {
    const auto same = [&, width = width](const Head& head) { return head.name == term.head() && head.width == width; };
    auto found = std::find_if(heads_.begin(), heads_.end(), same);
    if (found == heads_.end()) {
      heads_.push_back({std::string(term.head()), width, 0, {}, &term});
      found = std::prev(heads_.end());
    }
    std::vector<std::int64_t> merged;
    std::set_union(found->elements.begin(), found->elements.end(), group.begin(), group.end(),
                   std::back_inserter(merged));
    found->elements = std::move(merged);
    uses_.push_back({t, static_cast<std::size_t>(found - heads_.begin()), std::move(group), {}, {}});
  }
}

// Lays the heads out one after another and finds which slices need no index.
void Composition::place_heads() {
  for (auto& head : heads_) {
    head.offset = outputs_;
    outputs_ += head.width * static_cast<std::int64_t>(head.elements.size());
  }
  for (auto& use : uses_) {
    const Head& head = heads_[use.head];
    if (use.elements.size() != domain_.elements.size()) use.element_index = torch::tensor(use.elements, torch::kInt64);
    if (use.elements == head.elements) continue;
    std::vector<std::int64_t> positions;
    for (const auto e : use.elements) {
      positions.push_back(std::lower_bound(head.elements.begin(), head.elements.end(), e) - head.elements.begin());
    }
    use.position_index = torch::tensor(positions, torch::kInt64);
  }
}

at::Tensor Composition::slots(const at::Tensor& prediction, const Head& head) const {
  const auto count = static_cast<std::int64_t>(head.elements.size());
  auto shape = prediction.sizes().vec();
  shape[1] = count;
  shape.insert(shape.begin() + 2, head.width);
  return prediction.narrow(1, head.offset, count * head.width).reshape(shape);
}

Evaluation Composition::evaluate(const model::Output& output, const model::Batch& target, double epoch,
                                 const at::Tensor& emphasis) const {
  const auto observed_count = sum_per_sample(target.observed).clamp_min(1);
  const auto counted = emphasis.defined() ? target.observed * emphasis : target.observed;
  Evaluation result;
  result.parts.resize(terms_.size());
  for (const Use& use : uses_) {
    const Term& term = *terms_[use.term];
    auto prediction = slots(output.prediction, heads_[use.head]);
    if (use.position_index.defined()) prediction = prediction.index_select(1, use.position_index);
    const bool all = !use.element_index.defined();
    const auto values = all ? target.values : target.values.index_select(1, use.element_index);
    const auto observed = all ? target.observed : target.observed.index_select(1, use.element_index);
    const double weight = term.weight * term.ramp(epoch);
    const auto factor = all ? counted : counted.index_select(1, use.element_index);
    const auto loss = term.masked_loss(prediction, values, observed) * factor * weight;
    auto& part = result.parts[use.term];
    const auto share = sum_per_sample(loss) / observed_count;
    part = part.defined() ? part + share : share;
    if (all) {
      result.elements = result.elements.defined() ? result.elements + loss : loss;
    } else {
      if (!result.elements.defined()) result.elements = torch::zeros_like(target.values);
      result.elements = result.elements.index_add(1, use.element_index, loss);
    }
  }
  for (std::size_t t = 0; t < terms_.size(); ++t) {
    auto& part = result.parts[t];
    if (terms_[t]->grain() == Grain::sample) {
      part =
          terms_[t]->sample_loss(output.code, target.values[0].numel()) * (terms_[t]->weight * terms_[t]->ramp(epoch));
    } else if (!part.defined()) {
      part = torch::zeros_like(observed_count);
    }
    result.samples = result.samples.defined() ? result.samples + part : part;
  }
  return result;
}

at::Tensor Composition::expected(const at::Tensor& prediction) const {
  auto shape = prediction.sizes().vec();
  shape[1] = static_cast<std::int64_t>(domain_.elements.size());
  auto values = torch::zeros(shape, prediction.options());
  // Backwards, so that where two heads describe one element the first declared one has the last word.
  for (auto head = heads_.rbegin(); head != heads_.rend(); ++head) {
    values.index_copy_(1, torch::tensor(head->elements, torch::kInt64),
                       head->owner->expected(slots(prediction, *head)));
  }
  return values;
}

void Composition::check_targets(const model::Batch& batch) const {
  std::vector<std::string> lines;
  for (const Use& use : uses_) {
    for (const auto e : use.elements) {
      const auto observed = batch.observed.select(1, e) > 0;
      const auto complaint = terms_[use.term]->complaint(batch.values.select(1, e).masked_select(observed));
      if (!complaint.empty()) {
        lines.push_back("/loss/terms/" + std::to_string(use.term) + ": column " +
                        ae::quoted(domain_.elements[static_cast<std::size_t>(e)].name) + ": " + complaint);
      }
    }
  }
  if (!lines.empty()) throw UsageError(std::move(lines));
}

}  // namespace ae::loss
