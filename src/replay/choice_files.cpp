#include "replay/choice_files.hpp"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/counted.hpp"
#include "base/text.hpp"
#include "evaluate/rate_text.hpp"
#include "replay/json_number.hpp"
#include "report/roc_text.hpp"

namespace ae::replay {
namespace {

using Ordered = nlohmann::ordered_json;
using evaluate::rate_text;

Ordered candidate_json(const StoreCandidate& c) {
  Ordered json;
  json["store"] = c.model.empty() ? "jpeg" : "codes";
  if (c.model.empty()) {
    json["quality"] = c.quality;
  } else {
    json["model"] = c.model;
    json["bits"] = c.bits;
  }
  json["bytes"] = c.bytes;
  json["mean_bias"] = number_or_null(c.mean_bias);
  json["mean_bias_se"] = number_or_null(c.bias_se);
  json["rms_bias"] = number_or_null(c.rms_bias);
  json["action_changes"] = c.action_changes;
  json["td_error_rms"] = number_or_null(c.td_rms);
  json["rms_error"] = number_or_null(c.rms_error);
  json["meets"] = c.meets;
  return json;
}

std::string store_text(const StoreCandidate& c) {
  if (c.model.empty()) return "JPEG " + std::to_string(c.quality);
  constexpr std::size_t kMostListed = 16;
  const auto [fewest, most] = std::ranges::minmax(c.bits);
  if (fewest == most || c.bits.size() <= kMostListed) return c.model + ", bits " + bits_text(c.bits);
  return c.model + ", " + std::to_string(fewest) + " to " + std::to_string(most) + " bits for each of " +
         counted(c.bits.size(), "latents");
}

std::string figures_text(const StoreCandidate& c) {
  std::string text =
      rate_text(c.bytes, 4) + " bytes, mean bias " + rate_text(c.mean_bias, 3) + ", rms " + rate_text(c.rms_bias, 3);
  if (std::isfinite(c.td_rms)) text += ", TD error rms " + rate_text(c.td_rms, 3);
  return text + ", other greedy action " + rate_text(100 * c.action_changes, 2) + " %";
}

}  // namespace

std::string bits_text(const std::vector<std::int64_t>& bits) {
  if (std::ranges::all_of(bits, [&](auto other) { return other == bits.front(); })) return std::to_string(bits.front());
  std::string text;
  for (const auto of_latent : bits) text += (text.empty() ? "" : ",") + std::to_string(of_latent);
  return text;
}

std::string choice_csv(const Choice& choice) {
  std::string out =
      "model,bits,quality,bytes,mean_bias,bias_se,rms_bias,action_changes,td_rms,rms_error,meets,chosen\n";
  for (std::size_t i = 0; i < choice.candidates.size(); ++i) {
    const auto& c = choice.candidates[i];
    append_csv_field(out, c.model, ',');
    out += ',';
    if (!c.bits.empty()) append_csv_field(out, bits_text(c.bits), ',');
    out += ',';
    if (c.quality > 0) out += std::to_string(c.quality);
    for (const double value : {c.bytes, c.mean_bias, c.bias_se, c.rms_bias, c.action_changes, c.td_rms, c.rms_error}) {
      out += ',';
      append_number(out, value);
    }
    out += c.meets ? ",1" : ",0";
    out += choice.chosen == i ? ",1\n" : ",0\n";
  }
  return out;
}

std::string choice_json(const ChoiceRun& run) {
  const auto& r = run.result;
  const auto& budget = run.options.budget;
  Ordered candidates = Ordered::array();
  for (const auto& candidate : r.candidates) candidates.push_back(candidate_json(candidate));
  Ordered json = {{"made_by", run.made_by},
                  {"command", run.command},
                  {"transitions_file", run.transitions},
                  {"q", run.q},
                  {"gamma", run.options.gamma},
                  {"budget",
                   {{"mean_bias", budget.bias},
                    {"action_changes", budget.changes},
                    {"td_error_rms", number_or_null(budget.td_rms)}}},
                  {"transitions", r.transitions},
                  {"original_bytes", r.bytes},
                  {"value_spread", r.value_spread},
                  {"chosen", r.chosen ? candidate_json(r.candidates[*r.chosen]) : Ordered(nullptr)},
                  {"candidates", std::move(candidates)},
                  {"seed", run.options.seed},
                  {"warnings", run.warnings}};
  return json.dump(2, ' ', false, Ordered::error_handler_t::replace) + "\n";
}

std::string choice_text(const ChoiceRun& run) {
  const auto& r = run.result;
  std::string out = counted(r.candidates.size(), "stores") + " tried on " + counted(r.transitions, "transitions") +
                    "; an observation takes " + report::rounded_text(r.bytes, 6) + " bytes, values vary by " +
                    rate_text(r.value_spread, 3) + "\n";
  std::vector<std::string> kinds;
  for (const auto& c : r.candidates)
    if (std::ranges::find(kinds, c.model) == kinds.end()) kinds.push_back(c.model);
  for (const auto& kind : kinds) {
    const StoreCandidate* cheapest = nullptr;
    for (const auto& c : r.candidates)
      if (c.model == kind && c.meets && (cheapest == nullptr || c.bytes < cheapest->bytes)) cheapest = &c;
    if (cheapest == nullptr)
      out += (kind.empty() ? "JPEG" : kind) + ": none meets the budget\n";
    else
      out += store_text(*cheapest) + ": " + figures_text(*cheapest) + "\n";
  }
  if (!r.chosen) return out;
  const auto& chosen = r.candidates[*r.chosen];
  return out +=
         "chosen: " + store_text(chosen) + ", 1/" + report::rounded_text(r.bytes / chosen.bytes, 3) + " of the bytes\n";
}

}  // namespace ae::replay
