#include <algorithm>
#include <cmath>

#include "report/assets.hpp"
#include "report/bars.hpp"
#include "report/roc_text.hpp"
#include "report/svg.hpp"

namespace ae::report {
namespace {

constexpr double kBarsWidth = 720, kBarsLeft = 210, kBarsTop = 66, kBarsPlot = 400, kRow = 30, kBarHeight = 16;

class BarsDrawing {
 public:
  explicit BarsDrawing(const BarPicture& picture) : picture_(picture) {
    for (const auto& bar : picture.bars) {
      low_ = std::min(low_, bar.value - bar.error);
      high_ = std::max(high_, bar.value + bar.error);
    }
    if (!(high_ > low_)) low_ = -1, high_ = 1;
    constexpr double kSteps = 6;
    step_ = round_step((high_ - low_) / kSteps);
    low_ = std::floor(low_ / step_) * step_;
    high_ = std::ceil(high_ / step_) * step_;
  }

  double bottom() const { return kBarsTop + kRow * static_cast<double>(picture_.bars.size()); }
  double height() const { return bottom() + 56; }

  std::string drawn() const {
    std::string out = text("title", 24, 26, picture_.title) + text("", 24, 46, picture_.subtitle);
    for (double at = low_; at < high_ + step_ / 2; at += step_) {
      const double place = x(at);
      out += line("grid", place, kBarsTop - 4, place, bottom());
      out += text("middle", place, bottom() + 19, rounded_text(std::abs(at) < step_ / 2 ? 0 : at, 3));
    }
    for (std::size_t i = 0; i < picture_.bars.size(); ++i) {
      const auto& bar = picture_.bars[i];
      const double middle = kBarsTop + kRow * (static_cast<double>(i) + 0.5);
      const double from = x(std::min(bar.value, 0.0)), to = x(std::max(bar.value, 0.0));
      out += text("axis end", kBarsLeft - 12, middle + 4.5, bar.name);
      out += joined("<rect class=\"bar", bar.total ? " total" : "", "\" x=\"", pixel(from), "\" y=\"",
                    pixel(middle - kBarHeight / 2), "\" width=\"", pixel(std::max(to - from, 0.5)), "\" height=\"",
                    pixel(kBarHeight), "\"/>\n");
      if (bar.error > 0) out += line("whisker", x(bar.value - bar.error), middle, x(bar.value + bar.error), middle);
      out += text("", kBarsLeft + kBarsPlot + 14, middle + 4.5, rounded_text(bar.value, 3));
    }
    return out + line("frame", x(0), kBarsTop - 4, x(0), bottom()) +
           text("axis middle", kBarsLeft + kBarsPlot / 2, bottom() + 42, picture_.axis);
  }

 private:
  double x(double value) const { return kBarsLeft + kBarsPlot * (value - low_) / (high_ - low_); }

  const BarPicture& picture_;
  double low_ = 0, high_ = 0, step_ = 1;
};

}  // namespace

std::string bars_svg(const BarPicture& picture) {
  const BarsDrawing drawing(picture);
  return svg_document(kBarsWidth, drawing.height(), picture.title, picture.description, assets::bars_svg_css,
                      drawing.drawn());
}

}  // namespace ae::report
