// What the pictures share. Internal to the room.
#pragma once

#include <cmath>
#include <string>
#include <string_view>

#include "base/text.hpp"
#include "report/page.hpp"

namespace ae::report {

// A coordinate, to a hundredth of a pixel.
inline std::string pixel(double value) { return rounded_text(std::round(value * 100) / 100, 6); }

inline std::string text(std::string_view classes, double x, double y, std::string_view content) {
  return joined("<text class=\"", classes, "\" x=\"", pixel(x), "\" y=\"", pixel(y), "\">", markup_escaped(content),
                "</text>\n");
}

inline std::string line(std::string_view classes, double x1, double y1, double x2, double y2) {
  return joined("<path class=\"", classes, "\" d=\"M", pixel(x1), " ", pixel(y1), "L", pixel(x2), " ", pixel(y2),
                "\"/>\n");
}

// A plot's left and lower axis.
inline std::string frame(double left, double top, double width, double height) {
  return joined("<path class=\"frame\" d=\"M", pixel(left), " ", pixel(top), "v", pixel(height), "h", pixel(width),
                "\"/>\n");
}

// What is drawn from below to above, written upwards around its middle.
inline std::string upward_label(double x, double y, std::string_view content) {
  return joined("<text class=\"axis middle\" transform=\"translate(", pixel(x), " ", pixel(y), ") rotate(-90)\">",
                markup_escaped(content), "</text>\n");
}

// The step nearest to `rough`, above 0, that people count by: 1, 2 or 5 times a power of ten.
inline double round_step(double rough) {
  const double power = std::pow(10, std::floor(std::log10(rough)));
  return power * (rough / power <= 1.5 ? 1 : rough / power <= 3.5 ? 2 : rough / power <= 7.5 ? 5 : 10);
}

// A whole picture of its own: title and description for who cannot see it, its styles, a ground, what is drawn.
inline std::string svg_document(double width, double height, std::string_view title, std::string_view description,
                                std::string_view styles, std::string_view drawn) {
  const std::string size = joined("width=\"", pixel(width), "\" height=\"", pixel(height), "\"");
  return joined("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n",              //
                "<svg xmlns=\"http://www.w3.org/2000/svg\" ", size,          //
                " viewBox=\"0 0 ", pixel(width), " ", pixel(height),         //
                "\" role=\"img\" aria-labelledby=\"title description\">\n",  //
                "<title id=\"title\">", markup_escaped(title), "</title>\n", "<desc id=\"description\">",
                markup_escaped(description), "</desc>\n",  //
                "<style>", styles, "</style>\n",           //
                "<rect class=\"ground\" ", size, "/>\n", drawn, "</svg>\n");
}

}  // namespace ae::report
