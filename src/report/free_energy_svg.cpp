#include <algorithm>
#include <cmath>
#include <limits>

#include "base/text.hpp"
#include "evaluate/intervals.hpp"
#include "report/assets.hpp"
#include "report/free_energy.hpp"
#include "report/page.hpp"
#include "report/roc_text.hpp"
#include "report/svg.hpp"

namespace ae::report {
namespace {

using Eigen::Index;
using Eigen::VectorXd;

constexpr double kWidth = 720, kHeight = 400;
constexpr double kLeft = 84, kTop = 44, kPlotWidth = 606, kPlotHeight = 276;
constexpr double kAbout = 6;  // ticks

class Drawing {
 public:
  explicit Drawing(const fit::FreeEnergyRun& run) : run_(run), r_(run.result) {
    for (Index b = 0; b < r_.energies.size(); ++b)
      if (std::isfinite(r_.energies[b])) highest_ = std::max(highest_, r_.energies[b]);
    // Tails are steep: what lies far above the barrier would flatten all below.
    if (r_.barrier) highest_ = std::min(highest_, 2 * r_.barrier->value);
    highest_ = std::max(highest_, run.options.kt);
  }

  std::string drawn() const {
    std::string out = text("title", kLeft, 26, "Free energy along " + shortened(join(run_.variables), 60)) + axes();
    return out + (r_.grid.axes.size() == 1
                      ? band() + curve(r_.observed, "observed") + compared() + curve(r_.energies, "estimate") + legend()
                      : map());
  }

 private:
  double x(double value) const {
    const auto& axis = r_.grid.axes[0];
    return kLeft + kPlotWidth * (value - axis.low) / (axis.high - axis.low);
  }
  double y(double value) const {
    if (r_.grid.axes.size() == 1) return kTop + kPlotHeight * (1 - std::clamp(value / highest_, 0.0, 1.0));
    const auto& axis = r_.grid.axes[1];
    return kTop + kPlotHeight * (1 - (value - axis.low) / (axis.high - axis.low));
  }

  static std::vector<double> ticks(double low, double high) {
    const double step = round_step((high - low) / kAbout);
    std::vector<double> all;
    if (!(step > 0) || !std::isfinite(step)) return all;
    // By a whole number that stays small: of numbers beyond 2^53 the next one may be the same.
    const double first = std::ceil(low / step);
    const int count = static_cast<int>(std::clamp(std::floor(high / step) - first + 1, 0.0, 2 * kAbout));
    for (int i = 0; i < count; ++i) all.push_back(first + i == 0 ? 0 : (first + i) * step);
    return all;
  }

  std::string axes() const {
    std::string out;
    const bool one = r_.grid.axes.size() == 1;
    const auto& first = r_.grid.axes[0];
    for (const double tick : one ? ticks(0, highest_) : ticks(r_.grid.axes[1].low, r_.grid.axes[1].high)) {
      out += line("grid", kLeft, y(tick), kLeft + kPlotWidth, y(tick));
      out += text("end", kLeft - 8, y(tick) + 4.5, rounded_text(tick, 5));
    }
    const double bottom = kTop + kPlotHeight;
    for (const double tick : ticks(first.low, first.high)) {
      out += line("grid", x(tick), kTop, x(tick), bottom);
      out += text("middle", x(tick), bottom + 19, rounded_text(tick, 5));
    }
    const std::string unit = run_.energy_unit.empty() ? "" : " (" + run_.energy_unit + ")";
    return out + frame(kLeft, kTop, kPlotWidth, kPlotHeight) +
           text("axis middle", kLeft + kPlotWidth / 2, bottom + 40, shortened(run_.variables[0], 60)) +
           upward_label(24, kTop + kPlotHeight / 2, one ? "F" + unit : shortened(run_.variables[1], 40));
  }

  // In pieces, between bins where nothing is known.
  std::string curve(const VectorXd& energies, std::string_view classes) const {
    std::string path;
    bool pen_down = false;
    for (Index b = 0; b < energies.size(); ++b) {
      if (!std::isfinite(energies[b])) {
        pen_down = false;
        continue;
      }
      path += joined(pen_down ? "L" : "M", pixel(x(r_.grid.axes[0].centre(b))), " ", pixel(y(energies[b])));
      pen_down = true;
    }
    return path.empty() ? path : joined("<path class=\"curve ", classes, "\" d=\"", path, "\"/>\n");
  }

  std::string band() const {
    const double z = evaluate::two_sided_normal_quantile(run_.options.confidence);
    std::string out, upper, lower;
    const auto close = [&] {
      if (!upper.empty()) out += joined("<path class=\"band\" d=\"M", upper, lower, "Z\"/>\n");
      upper.clear();
      lower.clear();
    };
    for (Index b = 0; b < r_.energies.size(); ++b) {
      if (!std::isfinite(r_.energies[b]) || !std::isfinite(r_.standard_errors[b])) {
        close();
        continue;
      }
      const std::string at = pixel(x(r_.grid.axes[0].centre(b)));
      const double half = z * r_.standard_errors[b];
      upper += joined(upper.empty() ? "" : "L", at, " ", pixel(y(r_.energies[b] + half)));
      lower = joined("L", at, " ", pixel(y(r_.energies[b] - half)), lower);
    }
    close();
    return out;
  }

  std::string compared() const { return r_.comparison ? curve(r_.comparison->energies, "compared") : std::string(); }

  std::string legend() const {
    const double at = kHeight - 14;
    double left = kLeft;
    std::string out;
    const auto add = [&](std::string_view classes, const std::string& name, double width) {
      out += line(joined("curve ", classes), left, at - 4, left + 26, at - 4) + text("", left + 34, at, name);
      left += width;
    };
    add("estimate", "without the blur, " + rounded_text(100 * run_.options.confidence, 4) + " % interval", 240);
    add("observed", "as observed", 130);
    if (r_.comparison) add("compared", "Richardson-Lucy", 130);
    return out;
  }

  std::string map() const {
    std::string out;
    for (Index b = 0; b < r_.energies.size(); ++b) {
      if (!std::isfinite(r_.energies[b])) continue;
      const double depth = 1 - std::min(1.0, r_.energies[b] / highest_);
      if (depth <= 0) continue;
      const auto [i, j] = r_.grid.place(b);
      const auto &first = r_.grid.axes[0], &second = r_.grid.axes[1];
      const double left = x(first.centre(i) - first.width() / 2), top = y(second.centre(j) + second.width() / 2);
      out +=
          joined("<rect class=\"energy\" fill-opacity=\"", rounded_text(std::round(depth * 100) / 100, 3), "\" x=\"",
                 pixel(left), "\" y=\"", pixel(top), "\" width=\"", pixel(kPlotWidth / static_cast<double>(first.bins)),
                 "\" height=\"", pixel(kPlotHeight / static_cast<double>(second.bins)), "\"/>\n");
    }
    return out +
           text("", kLeft, kHeight - 14, "the deeper, the darker; white from " + rounded_text(highest_, 3) + " on");
  }

  const fit::FreeEnergyRun& run_;
  const fit::FreeEnergy& r_;
  double highest_ = 0;
};

}  // namespace

std::string free_energy_svg(const fit::FreeEnergyRun& run) {
  const auto& r = run.result;
  std::string description = "Free energy along " + join(run.variables) + ", as observed and without the blur";
  if (r.barrier) description += "; the barrier is " + rounded_text(r.barrier->value, 4);
  if (r.delta_f) description += "; delta F is " + rounded_text(r.delta_f->value, 4);
  return svg_document(kWidth, kHeight, "Free energy", description + ".", assets::free_energy_svg_css,
                      Drawing(run).drawn());
}

}  // namespace ae::report
