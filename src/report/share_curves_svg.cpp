#include <algorithm>
#include <cmath>

#include "report/assets.hpp"
#include "report/roc_text.hpp"
#include "report/share_curves.hpp"
#include "report/svg.hpp"

namespace ae::report {
namespace {

constexpr double kShareWidth = 720, kShareLeft = 84, kShareTop = 44, kSharePlotWidth = 606, kSharePlotHeight = 250;
constexpr double kShareLegend = kShareTop + kSharePlotHeight + 66, kShareStep = 20;

class ShareDrawing {
 public:
  explicit ShareDrawing(const SharePicture& picture) : picture_(picture) {
    for (const auto& curve : picture.curves)
      if (!curve.points.empty()) last_ = std::max(last_, curve.points.back().at);
    constexpr double kAbout = 6;  // ticks
    if (last_ > 0) step_ = round_step(last_ / kAbout);
  }

  double height() const { return kShareLegend + kShareStep * static_cast<double>(picture_.curves.size()) + 4; }

  std::string drawn() const {
    std::string out = text("title", kShareLeft, 26, picture_.title) + axes();
    for (std::size_t c = 0; c < picture_.curves.size(); ++c) out += band(c);
    for (std::size_t c = 0; c < picture_.curves.size(); ++c) out += curve(c);
    return out;
  }

 private:
  double x(double at) const { return last_ > 0 ? kShareLeft + kSharePlotWidth * at / last_ : kShareLeft; }
  static double y(double share) { return kShareTop + kSharePlotHeight * (1 - share); }
  static std::string class_of(std::size_t curve) { return "curve-" + std::to_string(curve % 8); }

  std::string axes() const {
    std::string out;
    for (int tick = 0; tick <= 10; tick += 2) {
      out += line("grid", kShareLeft, y(tick / 10.0), kShareLeft + kSharePlotWidth, y(tick / 10.0));
      out += text("end", kShareLeft - 8, y(tick / 10.0) + 4.5, rounded_text(tick / 10.0, 2));
    }
    const double bottom = kShareTop + kSharePlotHeight;
    for (int i = 0; i * step_ <= last_ * (1 + 1e-9); ++i) {
      out += line("grid", x(i * step_), kShareTop, x(i * step_), bottom);
      out += text("middle", x(i * step_), bottom + 19, rounded_text(i * step_, 6));
    }
    return out + frame(kShareLeft, kShareTop, kSharePlotWidth, kSharePlotHeight) +
           text("axis middle", kShareLeft + kSharePlotWidth / 2, bottom + 40, picture_.axis) +
           upward_label(24, kShareTop + kSharePlotHeight / 2, picture_.upright);
  }

  // Along the upper ends of the intervals and back along the lower ones.
  std::string band(std::size_t c) const {
    std::string there, back;
    for (const auto& point : picture_.curves[c].points) {
      there += joined(there.empty() ? "M" : "L", pixel(x(point.at)), " ", pixel(y(point.high)));
      back = joined("L", pixel(x(point.at)), " ", pixel(y(point.low)), back);
    }
    return joined("<path class=\"band ", class_of(c), "\" d=\"", there, back, "Z\"/>\n");
  }

  std::string curve(std::size_t c) const {
    const auto& [name, points] = picture_.curves[c];
    std::string path, out;
    for (const auto& point : points) {
      path += joined(path.empty() ? "M" : "L", pixel(x(point.at)), " ", pixel(y(point.share)));
      out += joined("<circle class=\"mark ", class_of(c), "\" cx=\"", pixel(x(point.at)), "\" cy=\"",
                    pixel(y(point.share)), "\" r=\"3\"/>\n");
    }
    const double at = kShareLegend + kShareStep * static_cast<double>(c);
    return joined("<path class=\"curve ", class_of(c), "\" d=\"", path, "\"/>\n", out) +
           line("curve " + class_of(c), kShareLeft, at - 4, kShareLeft + 36, at - 4) +
           text("", kShareLeft + 48, at, name);
  }

  const SharePicture& picture_;
  double last_ = 0, step_ = 1;
};

}  // namespace

std::string share_curves_svg(const SharePicture& picture) {
  const ShareDrawing drawing(picture);
  return svg_document(kShareWidth, drawing.height(), picture.title, picture.description, assets::share_curves_svg_css,
                      drawing.drawn());
}

}  // namespace ae::report
