#include <algorithm>
#include <cmath>

#include "base/text.hpp"
#include "report/assets.hpp"
#include "report/page.hpp"
#include "report/roc_text.hpp"
#include "report/states.hpp"
#include "report/svg.hpp"

namespace ae::report {
namespace {

using Eigen::Index;
using Eigen::VectorXd;

constexpr double kWidth = 720, kHeight = 400;
constexpr double kLeft = 84, kTop = 44, kPlotWidth = 606, kPlotHeight = 276;

class StatesDrawing {
 public:
  explicit StatesDrawing(const fit::StateRun& run) : run_(run), r_(run.result) {
    double least = 1;
    for (Index b = 0; b < r_.observed.size(); ++b)
      if (r_.observed[b] > 0) least = std::min(least, r_.observed[b]);
    decades_ = std::clamp(std::ceil(-std::log10(least)), 1.0, 12.0);
  }

  std::string drawn() const {
    std::string out = text("title", kLeft, 26, "States by " + shortened(join(run_.job.columns.variables), 60)) + axes();
    for (std::size_t s = 0; s < r_.states.size(); ++s)
      out +=
          steps(r_.observed_in.col(static_cast<Index>(s)) * r_.states[s].share, kClasses[std::min<std::size_t>(s, 1)]);
    return out + steps(r_.observed, "observed") + legend();
  }

 private:
  static constexpr std::string_view kClasses[]{"estimate", "compared"};  // the first state, and others

  double x(double bin) const { return kLeft + kPlotWidth * bin / static_cast<double>(r_.observed.size()); }
  double y(double probability) const {
    const double down = probability > 0 ? -std::log10(probability) / decades_ : 1;
    return kTop + kPlotHeight * std::clamp(down, 0.0, 1.0);
  }

  std::string axes() const {
    std::string out;
    const int each = decades_ > 6 ? 2 : 1;
    for (int decade = 0; decade <= static_cast<int>(decades_); decade += each) {
      const double at = std::pow(10, -decade);
      out += line("grid", kLeft, y(at), kLeft + kPlotWidth, y(at));
      out += text("end", kLeft - 8, y(at) + 4.5, decade == 0 ? "1" : rounded_text(at, 2));
    }
    const double bottom = kTop + kPlotHeight;
    if (r_.edges.size() == 1) {
      const auto& edges = r_.edges.front();
      const std::size_t each_edge = std::max<std::size_t>(1, edges.size() / 6);
      for (std::size_t e = 0; e < edges.size(); e += each_edge)
        out += text("middle", x(static_cast<double>(e + 1)), bottom + 19, rounded_text(edges[e], 3));
    }
    return out + frame(kLeft, kTop, kPlotWidth, kPlotHeight) +
           text("axis middle", kLeft + kPlotWidth / 2, bottom + 40,
                shortened(join(run_.job.columns.variables), 60) + ", bins of like numbers of rows") +
           upward_label(24, kTop + kPlotHeight / 2, "probability of bins");
  }

  std::string steps(const VectorXd& probabilities, std::string_view classes) const {
    std::string path;
    for (Index b = 0; b < probabilities.size(); ++b)
      path += joined(path.empty() ? "M" : "L", pixel(x(static_cast<double>(b))), " ", pixel(y(probabilities[b])), "H",
                     pixel(x(static_cast<double>(b + 1))));
    return joined("<path class=\"curve ", classes, "\" d=\"", path, "\"/>\n");
  }

  std::string legend() const {
    const double at = kHeight - 14;
    double left = kLeft;
    std::string out;
    const auto add = [&](std::string_view classes, const std::string& name) {
      out += line(joined("curve ", classes), left, at - 4, left + 26, at - 4) + text("", left + 34, at, name);
      left += 180;
    };
    add("observed", "observed");
    add(kClasses[0], shortened(r_.states.front().name, 16));
    std::string others;
    for (std::size_t s = 1; s < r_.states.size(); ++s) others += (s == 1 ? "" : ", ") + r_.states[s].name;
    add(kClasses[1], shortened(others, 30));
    return out;
  }

  const fit::StateRun& run_;
  const fit::StateShares& r_;
  double decades_ = 1;
};

}  // namespace

std::string states_svg(const fit::StateRun& run) {
  std::string description = "Probabilities of bins as observed, and what each state gives of them";
  for (const auto& state : run.result.states)
    description += "; the share of " + state.name + " is " + rounded_text(state.share, 4);
  return svg_document(kWidth, kHeight, "Shares of states", description + ".", assets::free_energy_svg_css,
                      StatesDrawing(run).drawn());
}

}  // namespace ae::report
