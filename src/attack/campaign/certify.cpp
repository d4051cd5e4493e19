#include "attack/campaign/certify.hpp"

#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>

#include "base/random.hpp"
#include "base/signals.hpp"
#include "evaluate/intervals.hpp"

namespace ae::attack {
namespace {

// How often each class is answered; `purpose`: other draws.
at::Tensor votes_under_noise(const Classes& classes, std::int64_t count, const at::Tensor& image, double sigma,
                             std::uint64_t key, std::int64_t draws) {
  constexpr std::int64_t kAtOnce = 256;
  auto counts = torch::zeros({count}, at::kLong);
  for (std::int64_t begin = 0; begin < draws; begin += kAtOnce) {
    throw_if_stopped("certifying");
    const auto size = std::min(kAtOnce, draws - begin);
    auto noise = torch::empty({size, image.size(0), image.size(1), image.size(2)});
    const auto part = stream_key(key, "noise", static_cast<std::uint64_t>(begin));
    fill_normal(part, {noise.data_ptr<float>(), static_cast<std::size_t>(noise.numel())});
    apply::Keys keys;
    for (std::int64_t i = 0; i < size; ++i)
      keys.push_back(stream_key(key, "purifier", static_cast<std::uint64_t>(begin + i)));
    counts += at::bincount(classes(image.unsqueeze(0) + sigma * noise, keys), {}, count);
  }
  return counts;
}

}  // namespace

Certificate certify(const Classes& classes, std::int64_t count, const at::Tensor& image, std::int64_t number,
                    std::uint64_t seed, const CertifyOptions& options) {
  const auto votes = [&](const char* purpose, std::int64_t draws) {
    return votes_under_noise(classes, count, image, options.sigma,
                             stream_key(seed, purpose, static_cast<std::uint64_t>(number)), draws);
  };
  const auto guess = votes("guess", options.first_votes).argmax().item<std::int64_t>();
  const auto agree = votes("certify", options.votes)[guess].item<std::int64_t>();
  const double share = evaluate::binomial_lower_bound(agree, options.votes, options.confidence);
  if (share <= 0.5) return {};
  // P(|Z| <= z) = 2 p - 1 where P(Z <= z) = p.
  return {guess, options.sigma * evaluate::two_sided_normal_quantile(2 * share - 1)};
}

}  // namespace ae::attack
