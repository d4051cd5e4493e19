// The files of report/assets, embedded at build time under their own names.
#pragma once

#include <string_view>

namespace ae::report::assets {

extern const std::string_view page_css;   // colours, type and layout shared by all pages
extern const std::string_view page_html;  // the shell: what is around every page
extern const std::string_view page_js;    // elements, pointer and figures, for the scripts of all pages
extern const std::string_view gallery_css;
extern const std::string_view gallery_html;
extern const std::string_view gallery_js;
extern const std::string_view roc_css;
extern const std::string_view roc_html;
extern const std::string_view roc_js;
extern const std::string_view table_css;
extern const std::string_view table_html;
extern const std::string_view table_js;
extern const std::string_view roc_svg_css;       // inside the stand-alone picture
extern const std::string_view training_svg_css;  // inside the picture of a training run
extern const std::string_view info_css;
extern const std::string_view survival_svg_css;      // inside the picture of survival curves
extern const std::string_view free_energy_svg_css;   // inside the picture of a free energy
extern const std::string_view share_curves_svg_css;  // inside a picture of shares as curves
extern const std::string_view bars_svg_css;          // inside a picture of bars
extern const std::string_view scatter_svg_css;       // inside a picture of points

}  // namespace ae::report::assets
