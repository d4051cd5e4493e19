// What an audit of a purifier along the manifold of natural images is written as.
#pragma once

#include <string>

#include "apply/manifold_audit.hpp"

namespace ae::apply {

struct ManifoldStory {
  std::string made_by, command, model, model_digest;
};

// id[,label],tangent_gain,orthogonal_gain,attack_tangent_gain,attack_orthogonal_gain,attack_tangent_share,
// attack_distance,nearest,farthest,components,variance: the attack's are empty where there is none, and a gain where
// that part of it is next to nothing.
std::string manifold_csv(const ManifoldAudit& audit);
// The summary as a JSON object, with all settings; "attack" and "predictor" are null without an attack.
std::string manifold_json(const ManifoldAudit& audit, const ManifoldSummary& summary, const ManifoldOptions& options,
                          const ManifoldStory& story);
// One HTML file: the summary as a table, a picture of the images' gains, the settings.
std::string manifold_page(const ManifoldAudit& audit, const ManifoldSummary& summary, const ManifoldOptions& options,
                          const ManifoldStory& story);
// For people: a line for each figure.
std::string manifold_text(const ManifoldAudit& audit, const ManifoldSummary& summary, const ManifoldOptions& options);

}  // namespace ae::apply
