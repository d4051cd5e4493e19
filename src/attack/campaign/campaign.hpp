// ae-attack: every attack asked for, on every image, and who withstands what.
//
// Threats, by whose logits an attack sees:
//   none        nobody's: noise
//   classifier  the classifier's alone; a purifier before it is unknown to the attacker ("grey-box")
//   purifier    the classifier's behind the purifier: all is known ("white-box", adaptive)
//   transfer    those of another classifier
// Defences, by which the images found are judged: none, the classifier alone; purifier, the classifier behind it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "apply/image_batches.hpp"
#include "attack/attacks.hpp"
#include "base/files.hpp"
#include "base/reporter.hpp"
#include "recipe/checkpoint.hpp"
#include "victim/classifier.hpp"

namespace ae::attack {

struct CampaignOptions {
  std::filesystem::path victim, surrogate;  // the second "": no transfer
  victim::ClassifierOptions input;          // of both
  std::string images;
  std::string labels;                // a file; "": those that the images bring along
  std::vector<std::string> classes;  // names, in the classifier's order; none: those of its file, or numbers
  std::int64_t most = 0;             // images; 0: all
  apply::Unreadable unreadable = apply::Unreadable::report;
  const recipe::Checkpoint* model = nullptr;  // of the purifier; null: none
  std::vector<std::string> purifiers;         // see apply::PurifierChain
  std::vector<const AttackKind*> attacks;
  Norm norm = Norm::linf;
  std::vector<double> eps;
  std::vector<Loss> losses{Loss::ce, Loss::margin};  // in turn, one for each start
  AttackOptions attack;
  std::int64_t restarts = 1;
  std::uint64_t seed = 0;
  // For the images of an attack, by a name such as "classifier-pgd-linf-0.1.npy"; null: they are not kept.
  std::function<Output*(const std::string& name)> array;  // which gives one each time
  Output* samples = nullptr;                              // a line for each image; null: none
};

// What one attack of one size left of one defence; of `worst` what all of at most that size left of it together.
struct CampaignRow {
  std::string threat, attack, defence;
  double eps = 0;
  std::int64_t images = 0, right = 0;
  double mean_distance = 0, largest_distance = 0;  // of the norm; of `worst` 0
  std::int64_t steps = 0, starts = 0;              // 0: none, or several attacks
  std::string losses, backward;                    // "ce margin"; "exact", or the surrogates that a purifier needs
  double accuracy() const { return images > 0 ? static_cast<double>(right) / static_cast<double>(images) : 0; }
};

struct Flag {
  std::string name, detail;
};

struct Campaign {
  std::int64_t images = 0, unreadable = 0, without_label = 0, classes = 0;
  std::vector<CampaignRow> rows;  // the clean ones first, then by eps
  // What should make a reader doubt the figures. Names: random_output, softmax_outputs, zero_gradient, noise_beats_
  // gradient, gradient_free_beats_white_box, transfer_beats_white_box, eps_0_differs_from_clean, norm_exceeded,
  // not_monotone, forward_differs.
  std::vector<Flag> flags;
};

// UsageError for options that do not fit, InputError for what cannot be read; Interrupted at a signal.
Campaign attack_images(const CampaignOptions& options, Reporter& reporter);

}  // namespace ae::attack
