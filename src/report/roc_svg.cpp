#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

#include "evaluate/rate_text.hpp"
#include "report/assets.hpp"
#include "report/page.hpp"
#include "report/roc.hpp"
#include "report/roc_text.hpp"
#include "report/svg.hpp"

namespace ae::report {
namespace {

using evaluate::Evaluation;
using evaluate::percent_text;
using evaluate::rate_text;

// Points of all curves of a panel together.
constexpr std::size_t most_points = 4000;
constexpr std::size_t most_points_of_one = 2000;
constexpr std::size_t fewest_points = 200;
constexpr double side = 340;  // of a plot, in pixels
constexpr double top = 44;
constexpr double panel_width = 450;
constexpr double plot_left = 64;
constexpr double legend_top = top + side + 70;
constexpr double legend_step = 62;
constexpr double short_legend_step = 44;  // of more than two scores, whose thresholds are told by pointing at the marks

// An SVG path of straight lines; points that lie on the line between their neighbours are left out.
class Path {
 public:
  void to(double x, double y) {
    const Point next{std::llround(x * 100), std::llround(y * 100)};  // hundredths of a pixel
    if (!started_) {
      started_ = true;
      text_ = joined("M", coordinates(next));
      last_ = corner_ = next;
      return;
    }
    if (next == last_) return;
    if (last_ != corner_ && !same_direction(corner_, last_, next)) {
      text_ += joined("L", coordinates(last_));
      corner_ = last_;
    }
    last_ = next;
  }
  std::string finished() { return last_ == corner_ ? text_ : joined(text_, "L", coordinates(last_)); }

 private:
  struct Point {
    long long x = 0;
    long long y = 0;
    bool operator==(const Point&) const = default;
  };
  static std::string coordinates(Point p) {
    return rounded_text(static_cast<double>(p.x) / 100, 6) + " " + rounded_text(static_cast<double>(p.y) / 100, 6);
  }
  static bool same_direction(Point a, Point b, Point c) {
    const long long ux = b.x - a.x, uy = b.y - a.y, vx = c.x - b.x, vy = c.y - b.y;
    return ux * vy == uy * vx && ux * vx + uy * vy > 0;
  }
  bool started_ = false;
  std::string text_;
  Point corner_;  // the last point written
  Point last_;
};

struct Panel {
  std::string_view title, x_label, y_label, area;  // area: the name of the area under the curve
  double left;                                     // of the plot
  bool precision;                                  // else ROC

  double x(double value) const { return left + value * side; }
  double y(double value) const { return top + (1 - value) * side; }
  std::pair<double, double> place(const evaluate::Confusion& c) const {
    return precision ? std::pair(c.tpr(), c.precision()) : std::pair(c.fpr(), c.tpr());
  }
  const evaluate::Estimate& estimate(const Evaluation& e) const { return precision ? e.auprc : e.auroc; }
  bool has_interval(const Evaluation& e) const { return !precision || e.bootstrap_resamples > 0; }
};

// ROC: straight lines, so that a tie is the diagonal its area counts. Precision: steps, as average precision sums them.
std::string curve_path(const Panel& panel, const Evaluation& evaluation, std::size_t limit) {
  Path path;
  double last_x = 0;
  for (const std::size_t i : thinned(evaluation.curve, limit)) {
    const auto [x, y] = panel.place(evaluation.curve[i].counts);
    if (std::isnan(y)) continue;  // nothing is flagged: no precision
    if (panel.precision) path.to(panel.x(last_x), panel.y(y));
    path.to(panel.x(x), panel.y(y));
    last_x = x;
  }
  return path.finished();
}

// What a viewer shows when it is pointed at.
std::string tooltip(std::string_view content) { return joined("<title>", markup_escaped(content), "</title>"); }

std::string circle(std::string_view order, double x, double y, std::string_view told = {}) {
  return joined("<circle class=\"mark mark-", order, "\" cx=\"", pixel(x), "\" cy=\"", pixel(y), "\" r=\"6\"",
                told.empty() ? std::string("/>\n") : joined(">", tooltip(told), "</circle>\n"));
}

std::string axes(const Panel& panel) {
  std::string out = text("title", panel.left, 26, panel.title);
  for (int tick = 0; tick <= 10; tick += 2) {
    const double value = tick / 10.0;
    out += line("grid", panel.x(value), top, panel.x(value), top + side);
    out += line("grid", panel.left, panel.y(value), panel.left + side, panel.y(value));
    out += text("middle", panel.x(value), top + side + 19, rounded_text(value, 2));
    out += text("end", panel.left - 8, panel.y(value) + 4.5, rounded_text(value, 2));
  }
  out += frame(panel.left, top, side, side);
  out += text("axis middle", panel.left + side / 2, top + side + 42, panel.x_label);
  out += upward_label(panel.left - 42, top + side / 2, panel.y_label);
  return out;
}

// What a score without skill would draw.
std::string chance(const Panel& panel, const Evaluation& e) {
  if (!panel.precision) return line("chance", panel.x(0), panel.y(0), panel.x(1), panel.y(1));
  const double share = static_cast<double>(e.anomalies) / static_cast<double>(e.anomalies + e.normals);
  return line("chance", panel.x(0), panel.y(share), panel.x(1), panel.y(share));
}

std::string area_text(const Panel& panel, const Evaluation& e) {
  const auto& estimate = panel.estimate(e);
  std::string area = joined(panel.area, " ", rate_text(estimate.value));
  if (!panel.has_interval(e)) return area;
  return joined(area, "  (", rounded_text(100 * e.confidence, 4), "% ", rate_text(estimate.interval.low),
                "\xE2\x80\x93", rate_text(estimate.interval.high), ")");
}

std::string chosen_text(const Panel& panel, const Evaluation& e) {
  const auto& c = e.chosen.counts;
  const std::string precision = std::isnan(c.precision()) ? "no precision: nothing is flagged"
                                                          : joined("precision ", percent_text(c.precision()));
  const std::string rates = panel.precision ? joined("recall ", percent_text(c.tpr()), ", ", precision)
                                            : joined("TPR ", percent_text(c.tpr()), ", FPR ", percent_text(c.fpr()));
  return joined("threshold ", rounded_text(e.chosen.threshold, 5), ": ", rates);
}

std::string mark(const Panel& panel, const Evaluation& e, std::string_view order) {
  const auto [x, y] = panel.place(e.chosen.counts);
  if (std::isnan(y)) return {};
  return circle(order, panel.x(x), panel.y(y), joined(shortened(e.name, 80), ": ", chosen_text(panel, e)));
}

std::string legend(const Panel& panel, const Evaluation& e, std::string_view order, double y, bool with_threshold) {
  const double words = panel.left + 36;
  std::string out = line(joined("curve ", order), panel.left, y - 4, panel.left + 26, y - 4) +
                    text("strong", words, y, area_text(panel, e)) + text("", words, y + 18, shortened(e.name, 44));
  if (with_threshold) out += circle(order, panel.left + 13, y + 32) + text("", words, y + 36, chosen_text(panel, e));
  return out;
}

// A colour and a dash pattern each; from the ninth on the same again, in thinner lines.
std::string order_name(std::size_t index) {
  constexpr std::array<std::string_view, 8> names = {"first", "second", "third",   "fourth",
                                                     "fifth", "sixth",  "seventh", "eighth"};
  return joined(names[index % names.size()], index < names.size() ? "" : " again");
}

double legend_height(std::size_t evaluations) {
  return (evaluations > 2 ? short_legend_step : legend_step) * static_cast<double>(evaluations);
}

std::string drawn(const Panel& panel, const std::vector<Evaluation>& evaluations) {
  const std::size_t count = evaluations.size();
  const std::size_t limit = std::clamp(most_points / count, fewest_points, most_points_of_one);
  std::string out = axes(panel) + chance(panel, evaluations.front());
  for (std::size_t i = count; i-- > 0;) {  // the first on top
    const Evaluation& e = evaluations[i];
    out += joined("<path class=\"curve ", order_name(i), "\" d=\"", curve_path(panel, e, limit), "\">",
                  tooltip(joined(shortened(e.name, 80), ": ", area_text(panel, e))), "</path>\n");
  }
  for (std::size_t i = count; i-- > 0;) out += mark(panel, evaluations[i], order_name(i));
  // A wide file name ends at the panel's edge.
  const std::string id = panel.precision ? "legend-pr" : "legend-roc";
  out += joined("<clipPath id=\"", id, "\"><rect x=\"", pixel(panel.left - 8), "\" y=\"", pixel(legend_top - 24),
                "\" width=\"", pixel(panel_width - plot_left + 20), "\" height=\"",
                pixel(std::max(2 * legend_step, legend_height(count))), "\"/></clipPath>\n<g clip-path=\"url(#", id,
                ")\">\n");
  for (std::size_t i = 0; i < count; ++i) {
    const double y = legend_top + legend_height(count) / static_cast<double>(count) * static_cast<double>(i);
    out += legend(panel, evaluations[i], order_name(i), y, count <= 2);
  }
  out += "</g>\n";
  return out;
}

}  // namespace

std::string roc_svg(const evaluate::Assessment& assessment) {
  const auto& evaluations = assessment.evaluations;
  const Panel roc{"ROC", "false positive rate", "true positive rate", "AUROC", plot_left, false};
  const Panel pr{"Precision and recall", "recall", "precision", "AUPRC", plot_left + panel_width, true};
  const double width = 2 * panel_width;
  const double height = legend_top + legend_height(evaluations.size()) - 4;
  std::string description;
  for (const auto& e : evaluations) {
    description += joined(shortened(e.name, 80), ": ", area_text(roc, e), ", ", area_text(pr, e), ". ");
  }
  return svg_document(width, height, "ROC and precision-recall curves", description, assets::roc_svg_css,
                      drawn(roc, evaluations) + drawn(pr, evaluations));
}

}  // namespace ae::report
