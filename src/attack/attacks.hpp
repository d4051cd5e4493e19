// Attacks on a classifier: the image within a distance of a given one that it gets wrong.
//
// Adding one: a function in attacks.cpp, and one line in attack_kinds().
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace ae::attack {

enum class Norm { linf, l2 };
std::string_view norm_name(Norm norm);  // "linf", "l2"

// All images within `eps` of the given ones, in the unit of pixels from 0 to 1, whose pixels stay in [0, 1].
struct Ball {
  Norm norm = Norm::linf;
  double eps = 0;
  at::Tensor project(const at::Tensor& images, const at::Tensor& given) const;
  at::Tensor distances(const at::Tensor& images, const at::Tensor& given) const;  // [n] float64
};

// What is ascended, of logits z [n, classes] and labels y:
//   ce      the cross-entropy
//   margin  max over others of z_i, minus z_y (Carlini and Wagner 2017)
//   dlr     the margin by the difference of the largest and the third-largest logit, which no scaling of the logits
//           changes (Croce and Hein 2020); with two classes the margin
enum class Loss { ce, margin, dlr };
std::string_view loss_name(Loss loss);
std::optional<Loss> loss_named(std::string_view name);
at::Tensor losses(Loss loss, const at::Tensor& logits, const at::Tensor& labels);  // [n]

// Images that are attacked side by side. What happens to one does not depend on the others, but for the rounding of
// products of another height: its random numbers are those of its number in the input.
struct Attacked {
  at::Tensor images;                  // [n, channels, height, width] float32
  at::Tensor labels;                  // [n] int64
  std::vector<std::int64_t> numbers;  // [n]
};

struct AttackOptions {
  std::int64_t steps = 40;
  double relative_step = 0;     // of eps, for pgd; 0: 2.5 / steps
  std::int64_t queries = 1000;  // of square
  double step() const { return relative_step > 0 ? relative_step : 2.5 / static_cast<double>(steps); }  // of eps
};

// Of one start from one random point.
struct Start {
  Loss loss = Loss::ce;
  std::uint64_t key = 0;  // of its random numbers
  // Goes on with images that are wrong already: those just beyond the border that was attacked are soon right again
  // where somebody else judges.
  bool to_the_end = false;
};

// How gradients looked at the first step of those images that were classified rightly.
struct GradientTally {
  std::int64_t asked = 0, zero = 0;
};

// What is seen of whom an attack is up against. Differentiable for attacks that see gradients.
struct Seen {
  std::vector<at::Tensor>
      logits;          // [n, classes] each; of what answers at random some draws, whose mean loss is ascended
  at::Tensor penalty;  // [n], which is taken off the loss; undefined: nothing
  at::Tensor flagged;  // [n] bool: wrong, they are still of no use; undefined: none is
  // [n] bool: most draws are of another class than the label, and nobody flags them.
  at::Tensor turned(const at::Tensor& labels) const;
};
// `numbers` are those of the images in the input, as of Attacked.
using Opponent = std::function<Seen(const at::Tensor& images, std::span<const std::int64_t> numbers)>;

struct AttackKind {
  std::string_view name;
  std::string_view help;
  // What it sees of the logits: their margin, or gradients of the loss that is asked for.
  enum class Sees { nothing, margin, gradients } sees = Sees::nothing;
  bool random = false;                             // another start may do better
  bool l2 = true;                                  // also of that norm
  std::int64_t AttackOptions::*repeats = nullptr;  // how many steps or queries; null: one
  bool follows_gradients() const { return sees == Sees::gradients; }
  // An image within the ball for each, which the opponent gets wrong where one was found: as far as a method looks at
  // logits, it leaves an image alone once that is so, unless it is to go on to the end. Asks the opponent once a step,
  // so that who answers may end it.
  at::Tensor (*run)(const Opponent& opponent, const Attacked& attacked, const Ball& ball, const AttackOptions& options,
                    const Start& start, GradientTally& tally) = nullptr;
};
// noise: a random corner of the ball (a direction of l2); fgsm: one step along the gradient (Goodfellow et al. 2015);
// pgd: projected gradient ascent (Madry et al. 2018); apgd: the same with momentum and steps that are halved where they
// stop helping (Croce and Hein 2020); square: a random search by squares, of linf (Andriushchenko et al. 2020).
std::span<const AttackKind> attack_kinds();

// By what training against attacks turns images (Madry et al. 2018): one start of pgd by linf on the cross-entropy, to
// the end, since an image that is wrong already is learned from where it is worst. `step`: null is 2.5 eps / steps.
struct TrainingAttack {
  double eps = 0;
  std::int64_t steps = 5;
  std::optional<double> step;
  // Of whoever answers an image the same each time; without gradients.
  at::Tensor run(const std::function<at::Tensor(const at::Tensor& images)>& logits, const Attacked& attacked,
                 std::uint64_t key) const;
};

}  // namespace ae::attack
