#include "recipe/schedule.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numbers>

namespace ae::recipe {
namespace {

class Constant final : public Schedule {
 public:
  void fields(config::Fields&) override {}
  double factor(std::int64_t, std::int64_t, const std::vector<double>&) const override { return 1; }
};

// Loshchilov and Hutter 2017 without restarts: half a cosine from 1 to `floor`, after a linear warm-up.
class Cosine final : public Schedule {
 public:
  void fields(config::Fields& f) override {
    f.number("floor", floor_, {0, 1}, "Factor reached at the last epoch.");
    f.integer("warm_up", warm_up_, {0, 1'000'000}, "Epochs of linear rise at the start.");
  }
  double factor(std::int64_t epoch, std::int64_t epochs, const std::vector<double>&) const override {
    if (epoch < warm_up_) return static_cast<double>(epoch + 1) / static_cast<double>(warm_up_ + 1);
    const double span = std::max<double>(1, static_cast<double>(epochs - warm_up_ - 1));
    const double done = std::min(1.0, static_cast<double>(epoch - warm_up_) / span);
    return floor_ + (1 - floor_) * 0.5 * (1 + std::cos(std::numbers::pi * done));
  }

 private:
  double floor_ = 0;
  std::int64_t warm_up_ = 0;
};

class Step final : public Schedule {
 public:
  void fields(config::Fields& f) override {
    f.integer("every", every_, {1, 1'000'000}, "Epochs between two reductions.");
    f.number("factor", factor_, {0, 1, true}, "What the rate is multiplied by at each reduction.");
  }
  double factor(std::int64_t epoch, std::int64_t, const std::vector<double>&) const override {
    const std::int64_t reductions = epoch / every_;
    return std::pow(factor_, static_cast<double>(reductions));
  }

 private:
  std::int64_t every_ = 30;
  double factor_ = 0.1;
};

class Plateau final : public Schedule {
 public:
  void fields(config::Fields& f) override {
    f.integer("patience", patience_, {0, 1'000'000}, "Epochs without improvement before a reduction.");
    f.number("factor", factor_, {0, 1, true}, "What the rate is multiplied by at each reduction.");
    f.number("floor", floor_, {0, 1}, "Smallest factor.");
  }
  double factor(std::int64_t, std::int64_t, const std::vector<double>& losses) const override {
    double factor = 1;
    double best = std::numeric_limits<double>::infinity();
    std::int64_t waited = 0;
    for (const double loss : losses) {
      if (loss < best) {
        best = loss;
        waited = 0;
      } else if (++waited > patience_) {
        factor = std::max(floor_, factor * factor_);
        waited = 0;
      }
    }
    return factor;
  }

 private:
  std::int64_t patience_ = 10;
  double factor_ = 0.5;
  double floor_ = 0.001;
};

template <typename T>
std::unique_ptr<Schedule> make_schedule() {
  return std::make_unique<T>();
}

constexpr std::array<config::Entry<Schedule>, 4> kSchedules{{
    {"constant", "The same rate throughout.", make_schedule<Constant>},
    {"cosine", "Falls along half a cosine over the planned epochs.", make_schedule<Cosine>},
    {"step", "Reduced by a factor every so many epochs.", make_schedule<Step>},
    {"plateau", "Reduced by a factor when the held-out loss stops improving.", make_schedule<Plateau>},
}};

}  // namespace

std::span<const config::Entry<Schedule>> schedules() { return kSchedules; }

}  // namespace ae::recipe
