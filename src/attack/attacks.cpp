#include "attack/attacks.hpp"

#include <torch/csrc/autograd/autograd.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "base/random.hpp"

namespace ae::attack {
namespace {

constexpr float kTiny = 1e-12F;

at::Tensor per_image(const at::Tensor& numbers) { return numbers.reshape({-1, 1, 1, 1}); }  // [n] beside [n, c, h, w]

// The norm of each [n, c, h, w], as [n, 1, 1, 1] and never 0.
at::Tensor lengths(const at::Tensor& steps) {
  return per_image(steps.flatten(1).square().sum(1).sqrt().clamp_min(kTiny));
}

// Of each image random numbers of its own.
std::uint64_t own_key(std::uint64_t key, std::int64_t number) {
  return mix64(key ^ mix64(static_cast<std::uint64_t>(number)));
}
template <typename Fill>
at::Tensor random_like(const Attacked& attacked, std::uint64_t key, Fill fill) {
  auto numbers = torch::empty_like(attacked.images, at::MemoryFormat::Contiguous);
  const auto size = static_cast<std::size_t>(numbers[0].numel());
  for (std::size_t i = 0; i < attacked.numbers.size(); ++i)
    fill(own_key(key, attacked.numbers[i]), std::span(numbers.data_ptr<float>() + i * size, size));
  return numbers;
}

// As far as eps in that direction: its signs, or its length made eps.
at::Tensor step_along(const Ball& ball, const at::Tensor& direction) {
  return ball.norm == Norm::linf ? direction.sign() : direction / lengths(direction);
}

at::Tensor random_start(const Attacked& attacked, const Ball& ball, std::uint64_t key) {
  if (ball.norm == Norm::linf) {
    const auto uniform = random_like(attacked, key, fill_uniform);
    return ball.project(attacked.images + (2 * uniform - 1) * ball.eps, attacked.images);
  }
  const auto direction = random_like(attacked, key, fill_normal);
  auto radius = torch::empty({attacked.images.size(0)});
  const auto dimensions = static_cast<double>(attacked.images[0].numel());
  for (std::size_t i = 0; i < attacked.numbers.size(); ++i) {
    Random random(mix64(key + kGoldenRatio) ^ mix64(static_cast<std::uint64_t>(attacked.numbers[i])));
    radius[static_cast<std::int64_t>(i)] = ball.eps * std::pow(random.uniform(), 1 / dimensions);
  }
  return ball.project(attacked.images + step_along(ball, direction) * per_image(radius), attacked.images);
}

struct Judged {
  at::Tensor loss;      // [n]
  at::Tensor wrong;     // [n] bool
  at::Tensor gradient;  // like the images; 0 where the logits do not depend on them
};

// What is ascended: the mean over draws of a loss, without the penalty.
at::Tensor ascended(const Seen& seen, Loss loss, const at::Tensor& labels) {
  auto sum = losses(loss, seen.logits.front(), labels);
  for (std::size_t draw = 1; draw < seen.logits.size(); ++draw) sum = sum + losses(loss, seen.logits[draw], labels);
  if (seen.logits.size() > 1) sum = sum / static_cast<double>(seen.logits.size());
  return seen.penalty.defined() ? sum - seen.penalty : sum;
}

Judged judge(const Opponent& opponent, Loss loss, const at::Tensor& images, std::span<const std::int64_t> numbers,
             const at::Tensor& labels) {
  const torch::AutoGradMode with_gradients(true);
  const auto x = images.detach().clone().requires_grad_(true);
  const auto seen = opponent(x, numbers);
  const auto found = ascended(seen, loss, labels);
  Judged judged{found.detach(), seen.turned(labels), {}};
  if (found.requires_grad()) judged.gradient = torch::autograd::grad({found.sum()}, {x}, {}, false, false, true)[0];
  if (!judged.gradient.defined()) judged.gradient = torch::zeros_like(images);
  return judged;
}

void count_zeros(const Judged& judged, GradientTally& tally) {
  const auto right = judged.wrong.logical_not();
  tally.asked += right.sum().item<std::int64_t>();
  tally.zero += (judged.gradient.flatten(1).abs().amax(1) == 0).logical_and(right).sum().item<std::int64_t>();
}

// The images that are not yet wrong, as they are now; what was found of the others is kept.
class Remaining {
 public:
  Remaining(const Attacked& attacked, const at::Tensor& start, bool to_the_end)
      : now(start),
        given(attacked.images),
        labels(attacked.labels),
        numbers(attacked.numbers),
        all_(start.clone()),
        index_(torch::arange(start.size(0))),
        to_the_end_(to_the_end) {}
  std::int64_t size() const { return now.size(0); }
  // Takes these out; `kept` are further tensors [n, ...] of the images that stay.
  void drop(const at::Tensor& wrong, std::span<at::Tensor* const> kept) {
    if (to_the_end_ || !wrong.any().item<bool>()) return;
    all_.index_copy_(0, index_, now);
    const auto stay = wrong.logical_not().nonzero().squeeze(1);
    for (std::int64_t i = 0; i < stay.size(0); ++i)
      numbers[static_cast<std::size_t>(i)] = numbers[static_cast<std::size_t>(stay[i].item<std::int64_t>())];
    numbers.resize(static_cast<std::size_t>(stay.size(0)));
    for (auto* tensor : {&now, &given, &labels, &index_}) *tensor = tensor->index_select(0, stay);
    for (auto* tensor : kept) *tensor = tensor->index_select(0, stay);
  }
  at::Tensor finish() {
    if (size() > 0) all_.index_copy_(0, index_, now);
    return all_;
  }

  Judged judged(const Opponent& opponent, Loss loss) const { return judge(opponent, loss, now, numbers, labels); }

  at::Tensor now, given, labels;
  std::vector<std::int64_t> numbers;

 private:
  at::Tensor all_, index_;
  bool to_the_end_;
};

at::Tensor noise(const Opponent&, const Attacked& attacked, const Ball& ball, const AttackOptions&, const Start& start,
                 GradientTally&) {
  const auto direction = random_like(attacked, start.key, fill_normal);
  return ball.project(attacked.images + step_along(ball, direction) * ball.eps, attacked.images);
}

at::Tensor fgsm(const Opponent& opponent, const Attacked& attacked, const Ball& ball, const AttackOptions&,
                const Start& start, GradientTally& tally) {
  const auto judged = judge(opponent, start.loss, attacked.images, attacked.numbers, attacked.labels);
  count_zeros(judged, tally);
  return ball.project(attacked.images + step_along(ball, judged.gradient) * ball.eps, attacked.images);
}

at::Tensor pgd(const Opponent& opponent, const Attacked& attacked, const Ball& ball, const AttackOptions& options,
               const Start& start, GradientTally& tally) {
  const double step = ball.eps * options.step();
  Remaining images(attacked, random_start(attacked, ball, start.key), start.to_the_end);
  for (std::int64_t i = 0; i < options.steps && images.size() > 0; ++i) {
    auto judged = images.judged(opponent, start.loss);
    if (i == 0) count_zeros(judged, tally);
    at::Tensor* const kept[] = {&judged.gradient};
    images.drop(judged.wrong, kept);
    if (images.size() == 0) break;
    images.now = ball.project(images.now + step_along(ball, judged.gradient) * step, images.given);
  }
  return images.finish();
}

// After this many steps of all the step is looked at: 0.22, then always sooner by 0.03, at least 0.06 apart.
std::vector<std::int64_t> checkpoints(std::int64_t steps) {
  std::vector<std::int64_t> at{0};
  double last = 0, now = 0.22;
  while (now < 1) {
    at.push_back(static_cast<std::int64_t>(std::ceil(now * static_cast<double>(steps))));
    const double next = now + std::max(now - last - 0.03, 0.06);
    last = now;
    now = next;
  }
  return at;
}

at::Tensor apgd(const Opponent& opponent, const Attacked& attacked, const Ball& ball, const AttackOptions& options,
                const Start& start, GradientTally& tally) {
  constexpr double kMomentum = 0.75, kEnough = 0.75;
  Remaining images(attacked, random_start(attacked, ball, start.key), start.to_the_end);
  auto judged = images.judged(opponent, start.loss);
  count_zeros(judged, tally);
  auto best = images.now, best_loss = judged.loss, best_gradient = judged.gradient, before = images.now,
       loss = judged.loss, gradient = judged.gradient;
  auto step = torch::full_like(judged.loss, 2 * ball.eps), better = torch::zeros_like(judged.loss),
       halved = torch::zeros_like(judged.wrong), best_at_check = best_loss;
  at::Tensor* const kept[] = {&best,     &best_loss, &best_gradient, &before, &loss,
                              &gradient, &step,      &better,        &halved, &best_at_check};
  images.drop(judged.wrong, kept);
  const auto checks = checkpoints(options.steps);
  std::size_t check = 1;
  for (std::int64_t i = 1; i <= options.steps && images.size() > 0; ++i) {
    const auto ahead = ball.project(images.now + per_image(step) * step_along(ball, gradient), images.given);
    const double share = i == 1 ? 1 : kMomentum;
    const auto next =
        ball.project(images.now + share * (ahead - images.now) + (1 - share) * (images.now - before), images.given);
    before = images.now;
    images.now = next;
    judged = images.judged(opponent, start.loss);
    better = better + (judged.loss > loss);
    loss = judged.loss;
    gradient = judged.gradient;
    const auto higher = loss > best_loss;
    best = torch::where(per_image(higher), images.now, best);
    best_gradient = torch::where(per_image(higher), gradient, best_gradient);
    best_loss = torch::where(higher, loss, best_loss);
    images.drop(judged.wrong, kept);
    if (check == checks.size() || i < checks[check] || images.size() == 0) continue;
    const double length = static_cast<double>(checks[check] - checks[check - 1]);
    const auto stuck =
        (better < kEnough * length).logical_or(halved.logical_not().logical_and(best_loss <= best_at_check));
    step = torch::where(stuck, step / 2, step);
    images.now = torch::where(per_image(stuck), best, images.now);
    gradient = torch::where(per_image(stuck), best_gradient, gradient);
    loss = torch::where(stuck, best_loss, loss);
    halved = stuck;
    best_at_check = best_loss;
    better = torch::zeros_like(better);
    ++check;
  }
  images.now = best;  // of those that are left
  return images.finish();
}

// The share of the pixels that a square covers, after `query` of `queries`.
double covered(std::int64_t query, std::int64_t queries) {
  constexpr double kFirst = 0.8;
  constexpr std::array<int, 9> kHalvings{10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000};  // of 10,000
  const double at = 10000.0 * static_cast<double>(query) / static_cast<double>(queries);
  const auto halvings = std::ranges::count_if(kHalvings, [&](int halving) { return at > halving; });
  return kFirst * std::pow(0.5, static_cast<double>(halvings));
}

at::Tensor square(const Opponent& opponent, const Attacked& attacked, const Ball& ball, const AttackOptions& options,
                  const Start& start, GradientTally&) {
  const torch::NoGradGuard no_grad;
  const auto channels = attacked.images.size(1), height = attacked.images.size(2), width = attacked.images.size(3);
  std::vector<Random> all;
  for (const auto number : attacked.numbers) all.emplace_back(own_key(start.key, number));
  auto own = torch::arange(attacked.images.size(0));  // which of them the remaining images have
  const auto sign = [&](std::int64_t i) { return (all[static_cast<std::size_t>(i)].bits() & 1) != 0 ? 1.0 : -1.0; };
  auto stripes = torch::empty({attacked.images.size(0), channels, 1, width});
  for (std::int64_t i = 0; i < stripes.size(0); ++i)
    for (float *at = stripes[i].data_ptr<float>(), *end = at + channels * width; at != end; ++at)
      *at = static_cast<float>(sign(i) * ball.eps);
  Remaining images(attacked, ball.project(attacked.images + stripes, attacked.images), start.to_the_end);
  auto seen = opponent(images.now, images.numbers);
  auto loss = ascended(seen, Loss::margin, images.labels);
  at::Tensor* const kept[] = {&loss, &own};
  images.drop(seen.turned(images.labels), kept);
  for (std::int64_t query = 1; query < options.queries && images.size() > 0; ++query) {
    const auto wanted = std::lround(std::sqrt(covered(query, options.queries) * static_cast<double>(height * width)));
    const auto side = std::clamp<std::int64_t>(wanted, 1, std::max<std::int64_t>(1, std::min(height, width) - 1));
    auto changed = images.now.clone();
    for (std::int64_t i = 0; i < images.size(); ++i) {
      const auto mine = own[i].item<std::int64_t>();
      auto& random = all[static_cast<std::size_t>(mine)];
      const auto y = static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(height - side + 1)));
      const auto x = static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(width - side + 1)));
      for (std::int64_t c = 0; c < channels; ++c)
        changed[i][c].narrow(0, y, side).narrow(1, x, side).add_(2 * ball.eps * sign(mine));
    }
    changed = ball.project(changed, images.given);
    seen = opponent(changed, images.numbers);
    const auto found = ascended(seen, Loss::margin, images.labels);
    const auto higher = found > loss;
    images.now = torch::where(per_image(higher), changed, images.now);
    loss = torch::where(higher, found, loss);
    images.drop(seen.turned(images.labels).logical_and(higher), kept);
  }
  return images.finish();
}

using Sees = AttackKind::Sees;
constexpr std::array kKinds{
    AttackKind{"noise", "random noise of that size, a control", Sees::nothing, true, true, nullptr, noise},
    AttackKind{"fgsm", "one step along the sign of the gradient", Sees::gradients, false, true, nullptr, fgsm},
    AttackKind{"pgd", "projected gradient ascent from a random start", Sees::gradients, true, true,
               &AttackOptions::steps, pgd},
    AttackKind{"apgd", "the same with momentum and a step that adapts itself", Sees::gradients, true, true,
               &AttackOptions::steps, apgd},
    AttackKind{"square", "a random search by squares, which needs no gradient, of linf alone", Sees::margin, true,
               false, &AttackOptions::queries, square},
};

struct NamedLoss {
  Loss loss;
  std::string_view name;
};
constexpr std::array kLosses{NamedLoss{Loss::ce, "ce"}, NamedLoss{Loss::margin, "margin"}, NamedLoss{Loss::dlr, "dlr"}};

}  // namespace

std::span<const AttackKind> attack_kinds() { return kKinds; }
std::string_view norm_name(Norm norm) { return norm == Norm::linf ? "linf" : "l2"; }

std::string_view loss_name(Loss loss) { return std::ranges::find(kLosses, loss, &NamedLoss::loss)->name; }
std::optional<Loss> loss_named(std::string_view name) {
  const auto* found = std::ranges::find(kLosses, name, &NamedLoss::name);
  return found == kLosses.end() ? std::nullopt : std::optional(found->loss);
}

at::Tensor Ball::project(const at::Tensor& images, const at::Tensor& given) const {
  if (norm == Norm::linf) return at::max(at::min(images, given + eps), given - eps).clamp(0, 1);
  const auto step = images - given;
  return (given + step * (eps / lengths(step)).clamp_max(1)).clamp(0, 1);
}

at::Tensor Ball::distances(const at::Tensor& images, const at::Tensor& given) const {
  const auto steps = (images.to(at::kDouble) - given.to(at::kDouble)).flatten(1);
  return norm == Norm::linf ? steps.abs().amax(1) : steps.square().sum(1).sqrt();
}

at::Tensor Seen::turned(const at::Tensor& labels) const {
  auto wrong = torch::zeros_like(labels);
  for (const auto& z : logits) wrong += z.detach().argmax(1) != labels;
  const auto most = 2 * wrong > static_cast<std::int64_t>(logits.size());
  return flagged.defined() ? most.logical_and(flagged.logical_not()) : most;
}

at::Tensor losses(Loss loss, const at::Tensor& logits, const at::Tensor& labels) {
  const auto own = logits.gather(1, labels.unsqueeze(1)).squeeze(1);
  if (loss == Loss::ce) return logits.logsumexp(1) - own;
  const auto others = logits.scatter(1, labels.unsqueeze(1), -std::numeric_limits<float>::infinity());
  auto margin = std::get<0>(others.max(1)) - own;
  if (loss == Loss::margin || logits.size(1) < 3) return margin;
  const auto sorted = std::get<0>(logits.topk(3, 1));
  return margin / (sorted.select(1, 0) - sorted.select(1, 2)).clamp_min(kTiny);
}

at::Tensor TrainingAttack::run(const std::function<at::Tensor(const at::Tensor& images)>& logits,
                               const Attacked& attacked, std::uint64_t key) const {
  AttackOptions options;
  options.steps = steps;
  if (step) options.relative_step = *step / eps;
  GradientTally tally;
  const Opponent opponent = [&](const at::Tensor& images, std::span<const std::int64_t>) -> Seen {
    return {{logits(images)}, {}, {}};
  };
  return pgd(opponent, attacked, {Norm::linf, eps}, options, {Loss::ce, key, true}, tally).detach();
}

}  // namespace ae::attack
