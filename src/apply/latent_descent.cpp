#include "apply/latent_descent.hpp"

#include <torch/csrc/autograd/autograd.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <vector>

#include "base/error.hpp"
#include "base/random.hpp"
#include "model/threads.hpp"

namespace ae::apply {
namespace {

constexpr double kFirstStep = 0.02;      // by the length of the code
constexpr double kLeastLength = 1e-3;    // of a code
constexpr double kTolerated = 1.5;       // errors, by the smallest one so far
constexpr double kShorter = 0.25;        // once an error was larger
constexpr double kMostFactor = 1e12;     // of the gradient, where it is all but 0
constexpr double kStartDeviation = 0.3;  // of the noise of further starts, in pixels
constexpr std::int64_t kDescentPixels = 1 << 15, kMostDescents = 64;

// By images: of `yes` where the condition [n] holds.
at::Tensor chosen(const at::Tensor& condition, const at::Tensor& yes, const at::Tensor& no) {
  std::vector<std::int64_t> shape(static_cast<std::size_t>(yes.dim()), 1);
  shape[0] = -1;
  return torch::where(condition.view(shape), yes, no);
}

}  // namespace

LatentDescent::LatentDescent(const loss::Autoencoder& autoencoder, const std::string& name, std::int64_t steps,
                             std::int64_t starts)
    : autoencoder_(autoencoder), steps_(steps), starts_(starts) {
  autoencoder_.network().set_training(false);
  const torch::NoGradGuard no_grad;
  // Asked of an image of noise, so that no list of families has to be kept.
  const auto& domain = autoencoder_.domain();
  auto image = torch::empty({1, std::ssize(domain.elements), domain.grid.at(0), domain.grid.at(1)});
  fill_uniform(stream_key(0, "whether codes suffice"),
               {image.data_ptr<float>(), static_cast<std::size_t>(image.numel())});
  const auto whole = autoencoder_.differentiable_expected({image, torch::ones_like(image)});
  if (!at::allclose(decoded(encoded(image), image), whole, 1e-3, 1e-4))
    throw UsageError("--purifier latent: " + name +
                     ": its decoder is given more than the code (skip connections), so that no code stands for an "
                     "image; take a model of another family, such as \"conv\"");
}

at::Tensor LatentDescent::encoded(const at::Tensor& images) const {
  const auto members = autoencoder_.members();
  const model::Batch batch{images, torch::ones_like(images)};
  const auto code = autoencoder_.network().encode(batch.repeated(members)).latent;
  return code.unflatten(0, {members, images.size(0)}).transpose(0, 1);
}

at::Tensor LatentDescent::decoded(const at::Tensor& codes, const at::Tensor& images) const {
  const auto members = autoencoder_.members();
  const auto prediction = autoencoder_.network().decode(codes.transpose(0, 1).flatten(0, 1));
  const auto mean = prediction.unflatten(0, {members, images.size(0)}).mean(0);
  return autoencoder_.loss().expected(mean.narrow(2, 0, images.size(2)).narrow(3, 0, images.size(3)));
}

at::Tensor LatentDescent::noise(const at::Tensor& images, std::int64_t start) {
  auto numbers = torch::zeros(images[0].sizes());
  if (start > 0)
    fill_normal(stream_key(0, "latent", static_cast<std::uint64_t>(start)),
                {numbers.data_ptr<float>(), static_cast<std::size_t>(numbers.numel())});
  return kStartDeviation * numbers;
}

LatentDescent::Slope LatentDescent::slope(const at::Tensor& codes, const at::Tensor& images,
                                          bool differentiable) const {
  const auto from = differentiable ? codes : codes.detach().requires_grad_(true);
  const auto made = decoded(from, images);
  const auto errors = (made - images).square().flatten(1).sum(1);
  const auto gradients = torch::autograd::grad({errors.sum()}, {from}, {}, differentiable, differentiable).front();
  if (differentiable) return {made, errors, gradients};
  return {made.detach(), errors.detach(), gradients.detach()};
}

LatentDescent::Found LatentDescent::descend(const at::Tensor& images, std::int64_t start, std::int64_t kept) const {
  struct State {
    at::Tensor codes;
    Slope slope;
    Trail trail;
  };
  const auto count = images.size(0);
  const auto pick = [](const at::Tensor& where, const State& yes, const State& no) {
    return State{chosen(where, yes.codes, no.codes),
                 {chosen(where, yes.slope.decoded, no.slope.decoded), chosen(where, yes.slope.errors, no.slope.errors),
                  chosen(where, yes.slope.gradients, no.slope.gradients)},
                 {chosen(where, yes.trail.codes, no.trail.codes), chosen(where, yes.trail.lengths, no.trail.lengths),
                  chosen(where, yes.trail.taken, no.trail.taken)}};
  };
  const auto summed = [](const at::Tensor& numbers) { return numbers.flatten(1).sum(1); };
  const auto along = [](const at::Tensor& lengths, const at::Tensor& gradients) {
    std::vector<std::int64_t> shape(static_cast<std::size_t>(gradients.dim()), 1);
    shape[0] = -1;
    return lengths.view(shape) * gradients;
  };

  State now;
  {
    const torch::NoGradGuard no_grad;
    now.codes = encoded(start > 0 ? images + noise(images, start) : images).contiguous();
  }
  now.slope = slope(now.codes, images, false);
  now.trail = {now.codes.unsqueeze(1).repeat_interleave(kept, 1), torch::zeros({count, kept}),
               torch::zeros({count}, at::kLong)};
  const auto steepness = summed(now.slope.gradients.square()).sqrt().clamp_min(1 / kMostFactor);
  auto lengths = kFirstStep * summed(now.codes.square()).sqrt().clamp_min(kLeastLength) / steepness;
  State best = now;
  for (std::int64_t step = 0; step < steps_; ++step) {
    State next;
    next.codes = now.codes - along(lengths, now.slope.gradients);
    next.slope = slope(next.codes, images, false);
    if (kept > 0) {
      next.trail.codes = torch::cat({now.trail.codes.narrow(1, 1, kept - 1), now.codes.unsqueeze(1)}, 1);
      next.trail.lengths = torch::cat({now.trail.lengths.narrow(1, 1, kept - 1), lengths.unsqueeze(1)}, 1);
    } else {
      next.trail = now.trail;
    }
    next.trail.taken = now.trail.taken + 1;
    const auto moved = next.codes - now.codes, bent = next.slope.gradients - now.slope.gradients;
    const auto curvature = summed(moved * bent);
    const auto quotient = step % 2 == 0 ? summed(moved.square()) / curvature : curvature / summed(bent.square());
    auto later = torch::where(curvature > 0, quotient, 2 * lengths);
    const auto far = (next.slope.errors <= kTolerated * best.slope.errors).logical_not();  // also what is no number
    later = torch::where(far, at::minimum(later, kShorter * lengths), later).clamp_max(kMostFactor);
    const auto nearer = next.slope.errors < best.slope.errors;
    now = pick(far, best, next);
    best = pick(nearer, next, best);
    lengths = later;
  }
  return {best.slope.decoded, best.slope.errors, torch::full({count}, start, at::kLong), best.trail};
}

LatentDescent::Found LatentDescent::search(const at::Tensor& images, std::int64_t kept) const {
  autoencoder_.network().set_training(false);
  const auto count = images.size(0);
  // Products of different heights may differ in the last bit, and those by several threads: pieces of one height, each
  // on one thread.
  const auto height = std::clamp<std::int64_t>(kDescentPixels / (images.size(2) * images.size(3)), 1, kMostDescents);
  std::vector<Found> pieces(static_cast<std::size_t>((count + height - 1) / height));
  const auto one = [&](std::int64_t begin, std::int64_t end) {
    const at::AutoGradMode gradients(true);
    auto piece = images.detach().narrow(0, begin, end - begin);
    if (end - begin < height) {
      auto rest = images.sizes().vec();
      rest[0] = height - (end - begin);
      piece = torch::cat({piece, torch::zeros(rest, piece.options())});
    }
    auto found = descend(piece, 0, kept);
    for (std::int64_t start = 1; start < starts_; ++start) {
      const auto other = descend(piece, start, kept);
      const auto nearer = other.errors < found.errors;
      const auto pick = [&](at::Tensor& held, const at::Tensor& offered) { held = chosen(nearer, offered, held); };
      pick(found.decoded, other.decoded);
      pick(found.errors, other.errors);
      pick(found.starts, other.starts);
      pick(found.trail.codes, other.trail.codes);
      pick(found.trail.lengths, other.trail.lengths);
      pick(found.trail.taken, other.trail.taken);
    }
    const auto real = [&](const at::Tensor& all) { return all.narrow(0, 0, end - begin); };
    pieces[static_cast<std::size_t>(begin / height)] = {
        real(found.decoded),
        real(found.errors),
        real(found.starts),
        {real(found.trail.codes), real(found.trail.lengths), real(found.trail.taken)}};
  };
  if (pieces.size() > 1) {
    model::share_out(count, height, one);
  } else {
    const model::SerialLibraries serial;
    one(0, count);
  }
  const auto joined = [&](auto&& of) {
    std::vector<at::Tensor> parts;
    for (const auto& piece : pieces) parts.push_back(of(piece));
    return torch::cat(parts);
  };
  return {joined([](const Found& f) { return f.decoded; }),
          joined([](const Found& f) { return f.errors; }),
          joined([](const Found& f) { return f.starts; }),
          {joined([](const Found& f) { return f.trail.codes; }), joined([](const Found& f) { return f.trail.lengths; }),
           joined([](const Found& f) { return f.trail.taken; })}};
}

at::Tensor LatentDescent::unrolled(const at::Tensor& images) const {
  const auto kept = std::min(steps_, kMostUnrolled);
  const auto found = search(images, kept);
  if (!at::GradMode::is_enabled() || !images.requires_grad()) return found.decoded;
  std::vector<at::Tensor> noises;
  for (std::int64_t start = 0; start < starts_; ++start) noises.push_back(noise(images, start));
  const auto first = encoded(images + torch::stack(noises).index_select(0, found.starts));
  auto codes = chosen(found.trail.taken <= kept, first, found.trail.codes.select(1, 0));
  for (std::int64_t step = 0; step < kept; ++step) {
    const auto gradients = slope(codes, images, true).gradients;
    std::vector<std::int64_t> shape(static_cast<std::size_t>(codes.dim()), 1);
    shape[0] = -1;
    codes = codes - found.trail.lengths.select(1, step).view(shape) * gradients;
  }
  const auto made = decoded(codes, images);
  return made + (found.decoded - made).detach();
}

}  // namespace ae::apply
