// ae-attack: every attack asked for, on every image, and who withstands what.
//
// Threats, by whose logits an attack sees:
//   none        nobody's: noise
//   classifier  the classifier's alone; a purifier before it is unknown to the attacker ("grey-box")
//   purifier    the classifier's behind the purifier: all is known ("white-box", adaptive)
//   transfer    those of another classifier
//   purifier-fixed     as purifier, of one that draws at random, whose draw the attacker knows
//   purifier+detector  as purifier, and the scores of the detectors, which must not flag what is found
// Defences, by which the images found are judged: none, the classifier alone; purifier, the classifier behind it, of
// one that draws at random by the majority of several draws; purifier-fixed, the same by one draw, always the same one;
// purifier+detector, by which an image is right that is classified rightly behind the purifier, or flagged.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "apply/image_batches.hpp"
#include "attack/attacks.hpp"
#include "attack/campaign/certify.hpp"
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
  const recipe::Checkpoint* model = nullptr;    // of the purifier; null: none
  std::vector<std::string> purifiers;           // see apply::PurifierChain
  std::span<const recipe::Checkpoint> among{};  // further models, see apply::PurifierSource
  std::optional<std::int64_t> votes;            // see apply::votes_of()
  std::int64_t eot = 4;                         // draws whose mean loss is ascended at each step
  std::vector<std::string> detectors;           // see apply::Detectors; they need a model
  std::string clean;              // images that nobody has changed, for their thresholds and some purifiers
  double false_positives = 0.01;  // the share of these that may be flagged
  // How much of the scores, each relative to its threshold and added up, is taken off the loss of who knows of the
  // detectors: in turn, one for each start, of which there are at least as many.
  std::vector<double> lambdas{1, 0.1, 0.01};
  std::vector<const AttackKind*> attacks;
  Norm norm = Norm::linf;
  std::vector<double> eps;
  std::vector<Loss> losses{Loss::ce, Loss::margin};  // in turn, one for each start
  AttackOptions attack;
  std::int64_t restarts = 1;
  std::uint64_t seed = 0;
  // For the images of an attack, by a name such as "classifier-pgd-linf-0.1.npy"; null: they are not kept.
  std::function<Output*(const std::string& name)> array;  // which gives one each time
  CertifyOptions certify;
  std::int64_t most_examples = 0;  // images that are shown
  Output* certificates = nullptr;  // a line for each image; null: none
  Output* samples = nullptr;       // a line for each image; null: none
};

// What one attack of one size left of one defence; of `worst` what all of at most that size left of it together.
struct CampaignRow {
  std::string threat, attack, defence;
  double eps = 0;
  std::int64_t images = 0, right = 0;
  std::optional<std::int64_t> flagged;             // of the images; nothing without detectors, and of `worst`
  double mean_distance = 0, largest_distance = 0;  // of the norm; of `worst` 0
  std::int64_t steps = 0, starts = 0;              // 0: none, or several attacks
  std::string losses, backward;                    // "ce margin"; "exact", or the surrogates that a purifier needs
  std::int64_t votes = 1, draws = 1;               // of the defence; of each step of an attack
  std::string lambdas;                             // "1 0.1"; "": of who does not know of detectors
  double accuracy() const { return images > 0 ? static_cast<double>(right) / static_cast<double>(images) : 0; }
};

// Images that are certified to be classified rightly within a radius of norm l2.
struct CertifiedRow {
  double radius = 0;
  std::int64_t right = 0;
};

// An image as it was, as the strongest attack made it, as the purifier made that one (without one ""), and the
// difference of the first two: PNG files.
struct Example {
  std::string id, label, before, after;  // classes by the defence that knows most
  std::string clean, attacked, purified, difference;
};

struct Flag {
  std::string name, detail;
};

struct DetectorThreshold {
  std::string name;
  double threshold = 0;
};

struct Campaign {
  std::int64_t images = 0, unreadable = 0, without_label = 0, classes = 0;
  std::vector<DetectorThreshold> detectors;
  std::int64_t clean = 0, clean_flagged = 0;  // images by which thresholds were found
  std::vector<CampaignRow> rows;              // the clean ones first, then by eps
  std::vector<CertifiedRow> certified;        // by radius, from 0 on; none where nothing is certified
  std::string shown;                          // the attack of the examples: "purifier pgd, eps 0.1"
  std::vector<Example> examples;
  std::int64_t undecided = 0;  // images whose certificate names no class
  // What should make a reader doubt the figures. Names: random_output, softmax_outputs, zero_gradient, noise_beats_
  // gradient, gradient_free_beats_white_box, transfer_beats_white_box, eps_0_differs_from_clean, norm_exceeded,
  // not_monotone, forward_differs, optimisation_inside.
  std::vector<Flag> flags;
};

// UsageError for options that do not fit, InputError for what cannot be read; Interrupted at a signal.
Campaign attack_images(const CampaignOptions& options, Reporter& reporter);

}  // namespace ae::attack
