#include <algorithm>

#include "report/assets.hpp"
#include "report/roc_text.hpp"
#include "report/scatter.hpp"
#include "report/svg.hpp"

namespace ae::report {
namespace {

constexpr double kScatterWidth = 720, kScatterLeft = 84, kScatterTop = 44, kScatterSide = 420;
constexpr double kScatterLegend = kScatterLeft + kScatterSide + 28, kScatterHeight = kScatterTop + kScatterSide + 56;

class ScatterDrawing {
 public:
  explicit ScatterDrawing(const ScatterPicture& picture) : picture_(picture) {
    double largest = 0;
    for (const auto& series : picture.series)
      for (const auto& point : series.points) largest = std::max({largest, point.x, point.y});
    constexpr double kAbout = 6;  // ticks
    if (largest > 0) step_ = round_step(largest / kAbout);
    while (ticks_ * step_ < largest) ++ticks_;
  }

  std::string drawn() const {
    std::string out = text("title", kScatterLeft, 26, picture_.title) + axes();
    for (std::size_t s = 0; s < picture_.series.size(); ++s) out += points(s);
    for (std::size_t s = 0; s < picture_.series.size(); ++s) out += mean(s);
    return out;
  }

 private:
  double x(double value) const { return kScatterLeft + kScatterSide * value / (ticks_ * step_); }
  double y(double value) const { return kScatterTop + kScatterSide * (1 - value / (ticks_ * step_)); }
  static std::string class_of(std::size_t series) { return "series-" + std::to_string(series % 2); }

  std::string axes() const {
    std::string out;
    const double right = kScatterLeft + kScatterSide, bottom = kScatterTop + kScatterSide;
    for (int i = 0; i <= ticks_; ++i) {
      const double at = i * step_;
      out += line("grid", kScatterLeft, y(at), right, y(at)) + line("grid", x(at), kScatterTop, x(at), bottom);
      out += text("end", kScatterLeft - 8, y(at) + 4.5, rounded_text(at, 6));
      out += text("middle", x(at), bottom + 19, rounded_text(at, 6));
    }
    const double legend = kScatterTop + 14 + 44 * static_cast<double>(picture_.series.size());
    return out + line("equal", kScatterLeft, bottom, right, kScatterTop) +
           frame(kScatterLeft, kScatterTop, kScatterSide, kScatterSide) +
           text("axis middle", kScatterLeft + kScatterSide / 2, bottom + 40, picture_.axis) +
           upward_label(24, kScatterTop + kScatterSide / 2, picture_.upright) +
           line("equal", kScatterLegend - 9, legend - 4, kScatterLegend + 9, legend - 4) +
           text("", kScatterLegend + 16, legend, "both are equal");
  }

  // The first series' marks are circles, the second's squares that stand on a corner.
  static std::string mark(std::size_t series, std::string_view classes, double x, double y, double radius) {
    if (series % 2 == 0)
      return joined("<circle class=\"", classes, " ", class_of(series), "\" cx=\"", pixel(x), "\" cy=\"", pixel(y),
                    "\" r=\"", pixel(radius), "\"/>\n");
    const double reach = radius * 1.25;
    return joined("<path class=\"", classes, " ", class_of(series), "\" d=\"M", pixel(x - reach), " ", pixel(y), "L",
                  pixel(x), " ", pixel(y - reach), "L", pixel(x + reach), " ", pixel(y), "L", pixel(x), " ",
                  pixel(y + reach), "Z\"/>\n");
  }

  std::string points(std::size_t s) const {
    std::string out;
    for (const auto& point : picture_.series[s].points) out += mark(s, "mark", x(point.x), y(point.y), 3);
    const double at = kScatterTop + 14 + 44 * static_cast<double>(s);
    return out + mark(s, "mark", kScatterLegend, at - 4, 3) +
           text("", kScatterLegend + 16, at, picture_.series[s].name);
  }

  std::string mean(std::size_t s) const {
    const auto& all = picture_.series[s].points;
    if (all.empty()) return {};
    ScatterPoint sum;
    for (const auto& point : all) sum = {sum.x + point.x, sum.y + point.y};
    const auto count = static_cast<double>(all.size());
    const double at = kScatterTop + 34 + 44 * static_cast<double>(s);
    return mark(s, "mean", x(sum.x / count), y(sum.y / count), 7) + mark(s, "mean", kScatterLegend, at - 4, 7) +
           text("", kScatterLegend + 16, at, "their mean");
  }

  const ScatterPicture& picture_;
  double step_ = 1;
  int ticks_ = 1;
};

}  // namespace

std::string scatter_svg(const ScatterPicture& picture) {
  return svg_document(kScatterWidth, kScatterHeight, picture.title, picture.description, assets::scatter_svg_css,
                      ScatterDrawing(picture).drawn());
}

}  // namespace ae::report
