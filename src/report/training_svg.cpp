#include <algorithm>
#include <cmath>
#include <limits>

#include "base/counted.hpp"
#include "report/assets.hpp"
#include "report/page.hpp"
#include "report/roc_text.hpp"
#include "report/svg.hpp"
#include "report/training.hpp"

namespace ae::report {
namespace {

constexpr double kWidth = 720, kHeight = 400;
constexpr double kLeft = 84, kTop = 44, kPlotWidth = 606, kPlotHeight = 276;
constexpr std::size_t kStretches = 1000;
constexpr double kLogarithmicFrom = 10;  // largest over smallest loss

// From values to pixels, with round numbers to show on the way.
class Axis {
 public:
  Axis(double low, double high, bool logarithmic) : logarithmic_(logarithmic) {
    logarithmic ? make_logarithmic(low, high) : make_linear(low, high);
  }
  // 0 at the low end, 1 at the high one.
  double place(double value) const {
    const double at = logarithmic_ ? std::log10(value) : value;
    return (at - low_) / (high_ - low_);
  }
  const std::vector<double>& ticks() const { return ticks_; }

 private:
  void make_linear(double low, double high) {
    if (high <= low) {
      const double around = low == 0 ? 1 : std::abs(low) / 2;
      low -= around;
      high += around;
    }
    constexpr double kAbout = 5;  // ticks
    const double step = round_step((high - low) / kAbout);
    low_ = std::floor(low / step) * step;
    high_ = std::ceil(high / step) * step;
    for (int i = 0; low_ + i * step <= high_ + step / 2; ++i) {
      const double tick = low_ + i * step;
      ticks_.push_back(std::abs(tick) < step / 1e6 ? 0 : tick);
    }
  }
  void make_logarithmic(double low, double high) {
    low_ = std::log10(low);
    high_ = std::log10(high);
    const double room = 0.04 * (high_ - low_);
    low_ -= room;
    high_ += room;
    const auto add = [&](double digit, int power) {
      const double tick = std::log10(digit) + power;
      if (tick >= low_ && tick <= high_) ticks_.push_back(digit * std::pow(10, power));
    };
    const int first = static_cast<int>(std::floor(low_)), last = static_cast<int>(std::ceil(high_));
    const int every = std::max(1, (last - first) / 8);
    const bool fine = high_ - low_ < 3;
    for (int power = first; power <= last; power += every) {
      add(1, power);
      if (fine) add(2, power);
      if (fine) add(5, power);
    }
  }

  bool logarithmic_;
  double low_ = 0, high_ = 1;
  std::vector<double> ticks_;
};

// Of a long curve the smallest and the largest value of every stretch, in their order.
std::vector<std::size_t> shown_epochs(const std::vector<double>& losses) {
  std::vector<std::size_t> shown;
  const std::size_t stretches = std::min(kStretches, losses.size());
  for (std::size_t s = 0; s < stretches; ++s) {
    const auto begin = losses.begin() + static_cast<std::ptrdiff_t>(s * losses.size() / stretches);
    const auto end = losses.begin() + static_cast<std::ptrdiff_t>((s + 1) * losses.size() / stretches);
    const auto [low, high] = std::minmax_element(begin, end);
    const auto a = static_cast<std::size_t>(low - losses.begin()), b = static_cast<std::size_t>(high - losses.begin());
    shown.push_back(std::min(a, b));
    if (a != b) shown.push_back(std::max(a, b));
  }
  return shown;
}

class Drawing {
 public:
  explicit Drawing(const TrainingCurve& curve)
      : curve_(curve), epochs_(curve.training.size()), losses_(axis_of(curve, logarithmic_)) {}

  std::string drawn() const {
    std::string out = text("title", kLeft, 26, "Loss by epoch") + grid() + best() + line_of(curve_.held_out, "second") +
                      line_of(curve_.training, "first");
    return out + legend();
  }

 private:
  static Axis axis_of(const TrainingCurve& curve, bool& logarithmic) {
    double low = std::numeric_limits<double>::infinity(), high = -low;
    for (const auto* losses : {&curve.training, &curve.held_out}) {
      for (const double loss : *losses) {
        low = std::min(low, loss);
        high = std::max(high, loss);
      }
    }
    logarithmic = low > 0 && high / low > kLogarithmicFrom;
    return {low, high, logarithmic};
  }

  // A single epoch stands in the middle.
  double x(double epoch) const {
    if (epochs_ == 1) return kLeft + kPlotWidth / 2;
    return kLeft + kPlotWidth * (epoch - 1) / static_cast<double>(epochs_ - 1);
  }
  double y(double loss) const { return kTop + kPlotHeight * (1 - losses_.place(loss)); }

  std::string grid() const {
    std::string out;
    for (const double tick : losses_.ticks()) {
      out += line("grid", kLeft, y(tick), kLeft + kPlotWidth, y(tick));
      out += text("end", kLeft - 8, y(tick) + 4.5, rounded_text(tick, 4));
    }
    const double bottom = kTop + kPlotHeight;
    for (const double tick : epoch_ticks()) {
      out += line("grid", x(tick), kTop, x(tick), bottom);
      out += text("middle", x(tick), bottom + 19, rounded_text(tick, 7));
    }
    return out + frame(kLeft, kTop, kPlotWidth, kPlotHeight) +
           text("axis middle", kLeft + kPlotWidth / 2, bottom + 42, "epoch") +
           upward_label(20, kTop + kPlotHeight / 2, logarithmic_ ? "loss (logarithmic)" : "loss");
  }

  std::vector<double> epoch_ticks() const {
    std::vector<double> ticks;
    if (epochs_ == 1) return {1};
    const Axis axis(1, static_cast<double>(epochs_), false);
    for (const double tick : axis.ticks()) {
      if (tick >= 1 && tick <= static_cast<double>(epochs_) && tick == std::round(tick)) ticks.push_back(tick);
    }
    return ticks;
  }

  std::string line_of(const std::vector<double>& losses, std::string_view order) const {
    if (losses.empty()) return {};
    if (losses.size() == 1) {
      return joined("<circle class=\"point-", order, "\" cx=\"", pixel(x(1)), "\" cy=\"", pixel(y(losses.front())),
                    "\" r=\"4\"/>\n");
    }
    std::string path;
    for (const std::size_t epoch : shown_epochs(losses)) {
      path += joined(path.empty() ? "M" : "L", pixel(x(static_cast<double>(epoch + 1))), " ", pixel(y(losses[epoch])));
    }
    return joined("<path class=\"curve ", order, "\" d=\"", path, "\"/>\n");
  }

  std::string best() const {
    if (curve_.best_epoch < 1) return {};
    const double at = x(static_cast<double>(curve_.best_epoch));
    return line("best", at, kTop, at, kTop + kPlotHeight);
  }

  std::string legend() const {
    const double y = kHeight - 14;
    std::string out = line("curve first", kLeft, y - 4, kLeft + 26, y - 4) + text("", kLeft + 34, y, "training");
    double left = kLeft + 120;
    if (!curve_.held_out.empty()) {
      out += line("curve second", left, y - 4, left + 26, y - 4) + text("", left + 34, y, "held out");
      left += 120;
    }
    if (curve_.best_epoch < 1) return out;
    return out + line("best", left, y - 4, left + 26, y - 4) +
           text("", left + 34, y, "the model's weights: epoch " + std::to_string(curve_.best_epoch));
  }

  const TrainingCurve& curve_;
  std::size_t epochs_;
  bool logarithmic_ = false;
  Axis losses_;
};

std::string described(const TrainingCurve& curve) {
  std::string text = counted(curve.training.size(), "epochs") + "; the last training loss is " +
                     rounded_text(curve.training.back(), 5);
  if (!curve.held_out.empty()) text += ", the last held-out loss " + rounded_text(curve.held_out.back(), 5);
  return text + ".";
}

}  // namespace

std::string training_svg(const TrainingCurve& curve) {
  if (curve.training.empty()) return {};
  return svg_document(kWidth, kHeight, "Training curve", described(curve), assets::training_svg_css,
                      Drawing(curve).drawn());
}

}  // namespace ae::report
