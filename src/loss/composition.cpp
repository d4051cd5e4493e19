#include "loss/composition.hpp"

#include <torch/types.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <set>

#include "base/error.hpp"
#include "base/signals.hpp"
#include "base/text.hpp"
#include "base/vector_math.hpp"

namespace ae::loss {
namespace {

std::vector<std::string> names_of(const std::vector<model::Element>& elements) {
  std::vector<std::string> names;
  for (const auto& element : elements) names.push_back(element.name);
  return names;
}

// Types of a registry whose fresh objects fit: what messages suggest.
template <typename T, typename Fits>
std::vector<std::string> types_that(std::span<const config::Entry<T>> registry, const Fits& fits) {
  std::vector<std::string> types;
  for (const auto& entry : registry) {
    if (fits(*entry.make())) types.emplace_back(entry.name);
  }
  return types;
}

// `mse, l1 or huber`.
std::string any_of_these(const std::vector<std::string>& types) {
  if (types.size() < 2) return ae::join(types);
  return ae::join(std::span(types).first(types.size() - 1)) + " or " + types.back();
}

// Whether the term judges such an element as it stands, whatever numbers it holds.
bool judges_any(const Term& term, const model::Element& element) {
  return term.grain() == Grain::element && term.accepts(element) &&
         (element.categorical() || term.complaint(torch::tensor({-2.0f, 2.0f})).empty());
}

// The first type that judges such an element.
std::string judge_of(const model::Element& element) {
  return types_that(terms(), [&](const Term& term) { return judges_any(term, element); }).front();
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
                      " cannot judge; use " + judge_of(elements[e]) + " for it");
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

// --- What is wrong with a list of terms, and what would do instead ---

std::string no_variational_model(const std::string& type, const model::Domain& domain) {
  std::vector<std::string> models;
  for (const auto& name : types_that(model::families(), [&](const model::Family& family) {
         return family.variational() && family.reads(domain);
       })) {
    models.push_back(ae::quoted(name));
  }
  return ": " + type + " needs a variational model; remove the term or set /model/type to " + any_of_these(models);
}

std::string no_grid(const std::string& type, const model::Domain& domain) {
  const auto others = types_that(terms(), [&](const Term& term) {
    return std::any_of(domain.elements.begin(), domain.elements.end(),
                       [&](const model::Element& element) { return judges_any(term, element); });
  });
  return ": " + type + " judges images, the data are a table; use " + any_of_these(others);
}

std::string no_term_of_the_code() {
  const auto types = types_that(terms(), [](const Term& term) { return term.needs_variational(); });
  return "/loss/terms: a variational model needs a " + any_of_these(types) +
         " term; add {\"type\": " + ae::quoted(types.front()) + "}";
}

std::string no_judge_of(const std::vector<std::string>& columns) {
  model::Element number, category;
  category.codes = 2;
  return "/loss/terms: no term judges column " + ae::join(columns) + "; add a term (" + judge_of(number) +
         " for numbers, " + judge_of(category) +
         " for categories) or give the column the role \"ignore\" in /data/columns";
}

// Returns the sum of loss * share, and makes, or adds to, gradient = factor * share * slope. Single precision for as
// many numbers as it is good for.
template <bool kAdd>
AE_INLINE double weigh_all(const float* __restrict__ loss, const float* __restrict__ slope,
                           const float* __restrict__ share, float factor, std::int64_t count,
                           float* __restrict__ gradient) {
  constexpr std::int64_t kPiece = 1024;
  double sum = 0;
  for (std::int64_t begin = 0; begin < count; begin += kPiece) {
    sum += static_cast<double>(sum_up<float>(std::min(kPiece, count - begin),
                                             [=](std::int64_t i) { return loss[begin + i] * share[begin + i]; }));
  }
  for (std::int64_t i = 0; i < count; ++i) {
    const float own = factor * share[i] * slope[i];
    gradient[i] = kAdd ? gradient[i] + own : own;
  }
  return sum;
}
AE_VECTORISED double weigh(const float* loss, const float* slope, const float* share, float factor, std::int64_t count,
                           float* gradient) {
  return weigh_all<false>(loss, slope, share, factor, count, gradient);
}
AE_VECTORISED double weigh_and_add(const float* loss, const float* slope, const float* share, float factor,
                                   std::int64_t count, float* gradient) {
  return weigh_all<true>(loss, slope, share, factor, count, gradient);
}
AE_VECTORISED double weighted_sum(const float* __restrict__ values, const float* __restrict__ weights,
                                  std::int64_t count) {
  return sum_up<double>(
      count, [=](std::int64_t i) { return static_cast<double>(values[i]) * static_cast<double>(weights[i]); });
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
  std::map<std::string, int> seen;
  for (std::size_t t = 0; t < terms.size(); ++t) {
    const Term& term = *terms[t];
    const std::string type(terms[t].type());
    const std::string pointer = "/loss/terms/" + std::to_string(t);
    terms_.push_back(&term);
    const int repetition = ++seen[type];
    part_names_.push_back(repetition == 1 ? type : type + "_" + std::to_string(repetition));
    if (term.needs_variational() && !variational) lines.push_back(pointer + no_variational_model(type, domain_));
    if (term.grain() == Grain::sample) continue;
    if (term.needs_grid() && !domain_.gridded()) {
      lines.push_back(pointer + no_grid(type, domain_));
      continue;
    }
    const auto chosen = selected(term, type, pointer, domain_.elements, lines);
    if (std::ssize(chosen) % term.record() != 0)
      lines.push_back(pointer + ": " + type + " judges elements by " + std::to_string(term.record()) +
                      " that belong together, found " + std::to_string(chosen.size()) + "; choose others by /columns");
    if (!term.training_only()) covered.insert(chosen.begin(), chosen.end());
    if (!chosen.empty()) declare_use(t, chosen);
  }
  const auto of_code = [](const Term* term) { return term->needs_variational(); };
  if (variational && std::none_of(terms_.begin(), terms_.end(), of_code)) lines.push_back(no_term_of_the_code());
  std::vector<std::string> uncovered;
  for (std::size_t e = 0; e < domain_.elements.size(); ++e) {
    if (!covered.contains(static_cast<std::int64_t>(e))) uncovered.push_back(ae::quoted(domain_.elements[e].name));
  }
  if (!uncovered.empty()) lines.push_back(no_judge_of(uncovered));
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
      heads_.push_back({std::string(term.head()), width, 0, std::ssize(term.constants()), 0, {}, &term});
      found = std::prev(heads_.end());
    }
    std::vector<std::int64_t> merged;
    std::set_union(found->elements.begin(), found->elements.end(), group.begin(), group.end(),
                   std::back_inserter(merged));
    found->elements = std::move(merged);
    uses_.push_back({t, static_cast<std::size_t>(found - heads_.begin()), std::move(group), {}, {}, {}, {}, {}});
  }
}

// Lays the heads out one after another and finds which slices need no index.
void Composition::place_heads() {
  for (auto& head : heads_) {
    head.offset = outputs_;
    outputs_ += head.width * static_cast<std::int64_t>(head.elements.size());
    head.first_constant = std::ssize(constants_);
    const auto constants = head.owner->constants();
    for (std::size_t e = 0; e < head.elements.size(); ++e)
      constants_.insert(constants_.end(), constants.begin(), constants.end());
  }
  for (auto& use : uses_) {
    const Head& head = heads_[use.head];
    if (use.elements.size() != domain_.elements.size()) use.element_index = torch::tensor(use.elements, torch::kInt64);
    for (const auto e : use.elements) {
      use.positions.push_back(std::lower_bound(head.elements.begin(), head.elements.end(), e) - head.elements.begin());
    }
    if (use.elements != head.elements) use.position_index = torch::tensor(use.positions, torch::kInt64);
    std::vector<double> centers, spreads;
    for (const auto e : use.elements) {
      const auto& element = domain_.elements[static_cast<std::size_t>(e)];
      centers.push_back(element.center);
      spreads.push_back(element.spread);
    }
    use.center = torch::tensor(centers, torch::kFloat64);
    use.spread = torch::tensor(spreads, torch::kFloat64);
  }
}

at::Tensor Composition::first_outputs(const model::Samples& samples) const {
  const auto says = [](const Head& head) { return !head.owner->first_outputs({1, 0.5, 1}).empty(); };
  if (samples.size() == 0 || std::none_of(heads_.begin(), heads_.end(), says)) return {};
  const auto elements = std::ssize(domain_.elements);
  constexpr std::int64_t kCells = 1 << 20;
  const std::int64_t at_once = std::max<std::int64_t>(1, kCells / elements);
  auto counts = torch::zeros({elements}, torch::kFloat64), detected = counts.clone(), amounts = counts.clone();
  double size = 0;
  for (std::int64_t begin = 0; begin < samples.size(); begin += at_once) {
    throw_if_stopped("looking at the data");
    const auto batch = samples.range(begin, std::min(begin + at_once, samples.size()));
    const auto values = batch.values.to(torch::kFloat64);
    const auto sizes =
        batch.sizes.defined() ? batch.sizes.to(torch::kFloat64) : torch::ones({values.size(0)}, torch::kFloat64);
    counts += (torch::expm1(values) * sizes.unsqueeze(1)).sum(0);
    detected += (values > 0).sum(0);
    amounts += values.sum(0);
    size += sizes.sum().item<double>();
  }
  auto first = torch::full({outputs_}, std::numeric_limits<double>::quiet_NaN(), torch::kFloat64);
  for (const auto& head : heads_) {
    for (std::size_t i = 0; i < head.elements.size(); ++i) {
      const auto of = [&](const at::Tensor& numbers) { return numbers[head.elements[i]].item<double>(); };
      const double share = of(detected) / static_cast<double>(samples.size());
      const auto outputs =
          head.owner->first_outputs({of(counts) / size, share, of(amounts) / std::max(1.0, of(detected))});
      for (std::size_t k = 0; k < outputs.size(); ++k)
        first[head.offset + static_cast<std::int64_t>(i) * head.width + static_cast<std::int64_t>(k)] = outputs[k];
    }
  }
  return first;
}

at::Tensor Composition::slots(const at::Tensor& prediction, const Head& head) const {
  const auto count = static_cast<std::int64_t>(head.elements.size());
  auto shape = prediction.sizes().vec();
  shape[1] = count;
  shape.insert(shape.begin() + 2, head.width);
  auto outputs = prediction.narrow(1, head.offset, count * head.width).reshape(shape);
  if (head.constants == 0) return outputs;
  shape[2] = head.constants;
  return torch::cat(
      {outputs, prediction.narrow(1, outputs_ + head.first_constant, count * head.constants).reshape(shape)}, 2);
}

Evaluation Composition::evaluate(const model::Output& output, const model::Batch& target, double epoch,
                                 const at::Tensor& emphasis) const {
  return evaluated(output, target, epoch, emphasis, Stage::training);
}

Evaluation Composition::applied(const model::Output& output, const model::Batch& target) const {
  return evaluated(output, target, kRamped, {}, Stage::application);
}

Evaluation Composition::evaluated(const model::Output& output, const model::Batch& target, double epoch,
                                  const at::Tensor& emphasis, Stage stage) const {
  const auto observed_count = sum_per_sample(target.observed).clamp_min(1);
  const auto sizes = target.sizes.defined() ? target.sizes.unsqueeze(1) : target.sizes;
  Evaluation result;
  result.parts.resize(terms_.size());
  for (const Use& use : uses_) {
    const Term& term = *terms_[use.term];
    if (stage == Stage::application && term.training_only()) continue;
    auto prediction = slots(output.prediction, heads_[use.head]);
    if (use.position_index.defined()) prediction = prediction.index_select(1, use.position_index);
    const bool all = !use.element_index.defined();
    const auto own = [&](const at::Tensor& of_all) {
      return all || !of_all.defined() ? of_all : of_all.index_select(1, use.element_index);
    };
    const double weight = term.weight * term.ramp(epoch);
    const auto loss = term.weighted_loss({prediction, own(target.values), own(target.observed), own(emphasis), sizes,
                                          use.center, use.spread}) *
                      weight;
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

std::vector<std::string> Composition::not_fused() const {
  std::vector<std::string> pointers;
  for (std::size_t t = 0; t < terms_.size(); ++t) {
    bool fused = terms_[t]->fused();
    for (const Use& use : uses_) {
      // Rows are taken as they lie.
      const bool whole = !use.element_index.defined() && !use.position_index.defined();
      if (use.term == t && terms_[t]->fused_by_rows()) fused = whole;
    }
    if (!fused) pointers.push_back("/loss/terms/" + std::to_string(t));
  }
  return pointers;
}

void Composition::fused(const FusedBatch& batch, double epoch, const FusedGradient& gradient, double* parts,
                        std::vector<float>& scratch) const {
  const auto elements = static_cast<std::int64_t>(domain_.elements.size());
  const double samples = static_cast<double>(batch.whole);
  const auto fill = [&] { std::fill_n(gradient.prediction, batch.samples * outputs_, 0.0f); };
  const bool single = uses_.size() == 1 && !terms_[uses_.front().term]->fused_by_rows();
  if (!single) fill();
  for (const Use& use : uses_) {
    const Term& term = *terms_[use.term];
    const Head& head = heads_[use.head];
    const double weight = term.weight * term.ramp(epoch);
    const auto group = static_cast<std::int64_t>(use.elements.size());
    if (term.fused_by_rows()) {
      const auto at = [&](auto* constants) { return constants == nullptr ? nullptr : constants + head.first_constant; };
      parts[use.term] +=
          weight / samples *
          term.fused_rows({batch.samples, group, outputs_, batch.prediction + head.offset, batch.target, batch.share,
                           batch.plain_share, batch.sizes, at(batch.constants), static_cast<float>(weight / samples),
                           gradient.prediction + head.offset, at(gradient.constants)});
      continue;
    }
    const std::int64_t width = head.width;
    const std::int64_t count = batch.samples * group;
    // What lies as the term wants it, is taken from where it is.
    const bool direct = group == elements && group * width == outputs_;
    scratch.resize(std::max(scratch.size(), static_cast<std::size_t>(count * (3 + 2 * width))));
    float* loss = scratch.data();
    float* slope = loss + count;
    const float* prediction = batch.prediction;
    const float* target = batch.target;
    const float* share = batch.share;
    if (!direct) {
      float* own_prediction = slope + count * width;
      float* own_target = own_prediction + count * width;
      float* own_share = own_target + count;
      for (std::int64_t i = 0, at = 0; i < batch.samples; ++i) {
        const float* outputs = batch.prediction + i * outputs_ + head.offset;
        for (std::int64_t g = 0; g < group; ++g, ++at) {
          const std::int64_t cell = i * elements + use.elements[static_cast<std::size_t>(g)];
          own_target[at] = batch.target[cell];
          own_share[at] = batch.share[cell];
          const float* from = outputs + use.positions[static_cast<std::size_t>(g)] * width;
          std::copy(from, from + width, own_prediction + at * width);
        }
      }
      prediction = own_prediction;
      target = own_target;
      share = own_share;
    }
    term.fused_loss(prediction, target, count, width, loss, slope);
    const auto factor = static_cast<float>(weight / samples);
    if (direct && width == 1) {
      parts[use.term] +=
          weight / samples * (single ? weigh : weigh_and_add)(loss, slope, share, factor, count, gradient.prediction);
      continue;
    }
    parts[use.term] += weight / samples * weighted_sum(loss, share, count);
    if (single) fill();
    for (std::int64_t i = 0, at = 0; i < batch.samples; ++i) {
      float* outputs = gradient.prediction + i * outputs_ + head.offset;
      for (std::int64_t g = 0; g < group; ++g, ++at) {
        float* to = outputs + use.positions[static_cast<std::size_t>(g)] * width;
        for (std::int64_t k = 0; k < width; ++k) to[k] += factor * share[at] * slope[at * width + k];
      }
    }
  }
  // Null pointers stay null for every sample.
  const std::int64_t latent = batch.mean == nullptr ? 0 : batch.latent;
  for (std::size_t t = 0; t < terms_.size(); ++t) {
    if (terms_[t]->grain() != Grain::sample) continue;
    const double weight = terms_[t]->weight * terms_[t]->ramp(epoch);
    for (std::int64_t i = 0; i < batch.samples; ++i) {
      const std::int64_t at = i * latent;
      parts[t] += weight / samples *
                  terms_[t]->fused_sample_loss(batch.mean + at, batch.log_variance + at, latent, elements,
                                               static_cast<float>(weight / samples), gradient.mean + at,
                                               gradient.log_variance + at);
    }
  }
}

namespace {

// The heads' answers, each for its elements, shaped like a batch; of elements without one what `otherwise` has, and
// undefined without that.
template <typename Heads, typename Answer>
at::Tensor first_answers(const at::Tensor& prediction, std::int64_t elements, const Heads& heads, const Answer& answer,
                         const at::Tensor& otherwise = {}) {
  auto shape = prediction.sizes().vec();
  shape[1] = elements;
  auto values = otherwise.defined() ? otherwise.clone() : torch::zeros(shape, prediction.options());
  std::vector<bool> answered(static_cast<std::size_t>(elements), false);
  for (const auto* head : heads) {
    std::vector<std::int64_t> left, places;  // elements that have no answer yet, and where the head has them
    for (std::size_t i = 0; i < head->elements.size(); ++i) {
      if (answered[static_cast<std::size_t>(head->elements[i])]) continue;
      left.push_back(head->elements[i]);
      places.push_back(static_cast<std::int64_t>(i));
    }
    if (left.empty()) continue;
    at::Tensor own = answer(*head);
    if (!own.defined()) continue;
    if (left.size() < head->elements.size()) own = own.index_select(1, torch::tensor(places, torch::kInt64));
    values.index_copy_(1, torch::tensor(left, torch::kInt64), own);
    for (const auto e : left) answered[static_cast<std::size_t>(e)] = true;
  }
  const bool all = otherwise.defined() || std::ranges::find(answered, false) == answered.end();
  return all ? values : at::Tensor();
}

}  // namespace

std::vector<const Composition::Head*> Composition::in_order(Asked asked) const {
  std::vector<const Head*> heads;
  for (const auto& head : heads_) heads.push_back(&head);
  std::stable_partition(heads.begin(), heads.end(),
                        [&](const Head* head) { return head->owner->learns_amounts() == (asked == Asked::amounts); });
  return heads;
}

at::Tensor Composition::expected(const at::Tensor& prediction) const {
  return first_answers(prediction, std::ssize(domain_.elements), in_order(Asked::expected),
                       [&](const Head& head) { return head.owner->expected(slots(prediction, head)); });
}

std::vector<at::Tensor> Composition::probabilities(const at::Tensor& prediction) const {
  std::vector<at::Tensor> levels(domain_.elements.size());
  for (auto head = heads_.rbegin(); head != heads_.rend(); ++head) {  // as in expected(); of counts no term has any
    const auto of_head = head->owner->probabilities(slots(prediction, *head));
    if (!of_head.defined()) continue;
    for (std::size_t i = 0; i < head->elements.size(); ++i) {
      levels[static_cast<std::size_t>(head->elements[i])] = of_head.select(1, static_cast<std::int64_t>(i));
    }
  }
  return levels;
}

at::Tensor Composition::detection(const at::Tensor& prediction, const at::Tensor& sizes) const {
  return first_answers(prediction, std::ssize(domain_.elements), in_order(Asked::amounts),
                       [&](const Head& head) { return head.owner->detection(slots(prediction, head), sizes); });
}

at::Tensor Composition::conditional(const at::Tensor& prediction, const at::Tensor& sizes) const {
  return first_answers(
      prediction, std::ssize(domain_.elements), in_order(Asked::amounts),
      [&](const Head& head) { return head.owner->conditional(slots(prediction, head), sizes); }, expected(prediction));
}

at::Tensor Composition::draw(const at::Tensor& prediction, const at::Tensor& sizes, const CountDraw& what,
                             at::Generator& random) const {
  const auto exact = prediction.to(torch::kFloat64);
  const auto heads = in_order(what.detected ? Asked::amounts : Asked::expected);
  return first_answers(exact, std::ssize(domain_.elements), heads,
                       [&](const Head& head) { return head.owner->draw(slots(exact, head), sizes, what, random); });
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
