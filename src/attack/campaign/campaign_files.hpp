// What ae-attack writes of a campaign.
#pragma once

#include <string>
#include <vector>

#include "attack/campaign/campaign.hpp"

namespace ae::attack {

struct CampaignStory {
  std::string made_by, command, victim, surrogate, input, model_digest;
  std::vector<std::string> among_digests{};  // of further models, in their order
};

// threat,attack,norm,eps,n,accuracy,low,high,defence,flagged,mean_distance,largest_distance,steps,restarts,losses,
// lambdas,votes,eot,backward,attack_forward,defence_forward,seed: accuracy with its 95 % interval (Wilson), the share
// that detectors flag, distances of the norm.
std::string campaign_csv(const Campaign& campaign, const CampaignOptions& options);
// The same as JSON, with the headline (per defence the worst at each eps), "flags", their names, and "flag_details".
std::string campaign_json(const Campaign& campaign, const CampaignOptions& options, const CampaignStory& story);
// A page, one HTML file: accuracy by size with its intervals, a picture for each defence; flags in words; the table;
// examples.
std::string campaign_page(const Campaign& campaign, const CampaignOptions& options, const CampaignStory& story);
// For people: accuracy by eps, a line for each attack and defence.
std::string campaign_text(const Campaign& campaign, const CampaignOptions& options);

}  // namespace ae::attack
