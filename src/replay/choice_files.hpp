// A choice of stores for machines and for people.
#pragma once

#include <string>
#include <vector>

#include "replay/choose.hpp"

namespace ae::replay {

// What a run was told and what it found.
struct ChoiceRun {
  Choice result;
  ChooseOptions options;
  std::string transitions, q;  // files
  std::string made_by;
  std::vector<std::string> command, warnings;
};

// model,bits,quality,bytes,mean_bias,bias_se,rms_bias,action_changes,td_rms,rms_error,meets,chosen
std::string choice_csv(const Choice& choice);
std::string choice_json(const ChoiceRun& run);
// The cheapest of each kind of store that meets the budget, and the chosen one.
std::string choice_text(const ChoiceRun& run);

// "5", or "4,5,3" where latents differ.
std::string bits_text(const std::vector<std::int64_t>& bits);

}  // namespace ae::replay
