#include <algorithm>
#include <cmath>

#include "base/text.hpp"
#include "report/assets.hpp"
#include "report/page.hpp"
#include "report/probe.hpp"
#include "report/roc_text.hpp"
#include "report/svg.hpp"

namespace ae::report {
namespace {

constexpr double kWidth = 720, kLeft = 84, kTop = 44, kPlotWidth = 606, kPlotHeight = 276;
constexpr double kTableTop = kTop + kPlotHeight + 72, kTableStep = 20;

class Drawing {
 public:
  explicit Drawing(const fit::ProbeEvaluation& evaluation) : evaluation_(evaluation), groups_(*evaluation.groups) {
    for (const auto& curve : groups_.curves)
      if (!curve.times.empty()) last_ = std::max(last_, curve.times.back());
    constexpr double kAbout = 6;  // ticks
    if (last_ > 0) step_ = round_step(last_ / kAbout);
  }

  double height() const { return kTableTop + kTableStep * static_cast<double>(groups_.curves.size()) + 30; }

  std::string drawn() const {
    std::string out = text("title", kLeft, 26, "Survival of risk groups by held-out predictions") + axes();
    for (std::size_t g = 0; g < groups_.curves.size(); ++g) out += band(g);
    for (std::size_t g = 0; g < groups_.curves.size(); ++g) out += curve(g);
    return out + table();
  }

 private:
  double x(double time) const { return last_ > 0 ? kLeft + kPlotWidth * time / last_ : kLeft; }
  static double y(double survival) { return kTop + kPlotHeight * (1 - survival); }
  static std::string class_of(std::size_t group) { return "group-" + std::to_string(group % 5); }

  std::vector<double> ticks() const {
    std::vector<double> all;
    for (int i = 0; i * step_ <= last_; ++i) all.push_back(i * step_);
    return all;
  }

  std::string axes() const {
    std::string out;
    for (int tick = 0; tick <= 10; tick += 2) {
      out += line("grid", kLeft, y(tick / 10.0), kLeft + kPlotWidth, y(tick / 10.0));
      out += text("end", kLeft - 8, y(tick / 10.0) + 4.5, rounded_text(tick / 10.0, 2));
    }
    const double bottom = kTop + kPlotHeight;
    for (const double tick : ticks()) {
      out += line("grid", x(tick), kTop, x(tick), bottom);
      out += text("middle", x(tick), bottom + 19, rounded_text(tick, 6));
    }
    return out + frame(kLeft, kTop, kPlotWidth, kPlotHeight) +
           text("axis middle", kLeft + kPlotWidth / 2, bottom + 40, "time") +
           upward_label(24, kTop + kPlotHeight / 2, "share without event");
  }

  // Between the curves of the interval's ends, there and back.
  std::string band(std::size_t group) const {
    const auto& c = groups_.curves[group];
    if (c.times.empty()) return {};
    std::string upper = joined("M", pixel(x(0)), " ", pixel(y(1))), lower;
    double high = 1, low = 1;
    for (std::size_t i = 0; i < c.times.size(); ++i) {
      if (c.events[i] == 0) continue;
      upper += joined("H", pixel(x(c.times[i])));
      lower = joined("H", pixel(x(c.times[i])), "V", pixel(y(low)), lower);
      high = c.intervals[i].high;
      low = c.intervals[i].low;
      upper += joined("V", pixel(y(high)));
    }
    return joined("<path class=\"band ", class_of(group), "\" d=\"", upper, "H", pixel(x(c.times.back())), "V",
                  pixel(y(low)), lower, "H", pixel(x(0)), "Z\"/>\n");
  }

  std::string curve(std::size_t group) const {
    const auto& c = groups_.curves[group];
    if (c.times.empty()) return {};
    std::string path = joined("M", pixel(x(0)), " ", pixel(y(1))), marks;
    for (std::size_t i = 0; i < c.times.size(); ++i) {
      if (c.events[i] > 0) path += joined("H", pixel(x(c.times[i])), "V", pixel(y(c.survival[i])));
      if (c.censored[i] > 0) marks += joined("M", pixel(x(c.times[i])), " ", pixel(y(c.survival[i]) - 4), "v8");
    }
    path += joined("H", pixel(x(c.times.back())));
    std::string out = joined("<path class=\"curve ", class_of(group), "\" d=\"", path, "\"><title>",
                             markup_escaped(legend(group)), "</title></path>\n");
    if (!marks.empty()) out += joined("<path class=\"censored ", class_of(group), "\" d=\"", marks, "\"/>\n");
    return out;
  }

  std::string legend(std::size_t group) const {
    const std::string which = group == 0                           ? " (lowest risk)"
                              : group + 1 == groups_.curves.size() ? " (highest risk)"
                                                                   : "";
    return "group " + std::to_string(group + 1) + which + ": " + std::to_string(groups_.test.rows[group]) + " rows, " +
           std::to_string(groups_.test.observed[group]) + " events";
  }

  std::string table() const {
    std::string out = text("axis", kLeft, kTableTop - 14, "at risk");
    for (std::size_t g = 0; g < groups_.curves.size(); ++g) {
      const double at = kTableTop + kTableStep * static_cast<double>(g) + 4;
      out += line("curve " + class_of(g), 12, at - 4, 40, at - 4) + text("end", 54, at, std::to_string(g + 1));
      for (const double tick : ticks())
        out += text("middle", x(tick), at, std::to_string(at_risk(groups_.curves[g], tick)));
    }
    return out + text("", kLeft, height() - 14,
                      "log-rank p = " + rounded_text(groups_.test.p_value, 3) + "; from low to high risk " +
                          std::to_string(groups_.curves.size()) + " groups, bands are " +
                          rounded_text(100 * evaluation_.confidence, 4) + " % intervals");
  }

  static std::int64_t at_risk(const fit::SurvivalCurve& curve, double time) {
    const auto next = std::lower_bound(curve.times.begin(), curve.times.end(), time);
    return next == curve.times.end() ? 0 : curve.at_risk[static_cast<std::size_t>(next - curve.times.begin())];
  }

  const fit::ProbeEvaluation& evaluation_;
  const fit::RiskGroups& groups_;
  double last_ = 0;
  double step_ = 1;
};

}  // namespace

std::string survival_svg(const fit::ProbeEvaluation& evaluation) {
  if (!evaluation.groups) return {};
  const Drawing drawing(evaluation);
  const std::string description =
      "Survival of groups of rows by predicted risk, log-rank p = " + rounded_text(evaluation.groups->test.p_value, 3) +
      ".";
  return svg_document(kWidth, drawing.height(), "Kaplan-Meier curves", description, assets::survival_svg_css,
                      drawing.drawn());
}

}  // namespace ae::report
