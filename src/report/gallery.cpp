#include "report/gallery.hpp"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "report/assets.hpp"
#include "report/page.hpp"

namespace ae::report {
namespace {

using nlohmann::json;

constexpr std::size_t most_regions = 100;
constexpr std::size_t most_item_text = 2000;  // characters of one fact or id

// The page of a gallery; `data` is what is known when the last image has been added.
template <typename Use>
auto with_page(const std::string& title, const json& data, Use use) {
  return use(Page{title, "Each image by its anomaly score: input, reconstruction, and where they differ.",
                  assets::gallery_html, assets::gallery_css, assets::gallery_js, data});
}

bool is_picture(std::string_view bytes) {
  return bytes.starts_with("\x89PNG\r\n\x1a\n") || bytes.starts_with("\xFF\xD8\xFF");
}

using Panel = std::pair<const char*, std::string GalleryItem::*>;
constexpr Panel panels[] = {{"input", &GalleryItem::input},
                            {"reconstruction", &GalleryItem::reconstruction},
                            {"heat", &GalleryItem::heat},
                            {"mask", &GalleryItem::mask},
                            {"truth", &GalleryItem::truth}};

void check(const GalleryItem& item) {
  if (!std::isfinite(item.score)) throw std::invalid_argument("gallery: the score of an image is not finite");
  for (const auto& [name, bytes] : panels)
    if (!(item.*bytes).empty() && !is_picture(item.*bytes))
      throw std::invalid_argument(std::string("gallery: the picture \"") + name + "\" is neither PNG nor JPEG");
}

// Enough digits for a picture.
double rounded(double value) { return std::isfinite(value) ? std::stod(json(static_cast<float>(value)).dump()) : 0; }

json regions_json(const GalleryItem& item) {
  json regions = json::array();
  for (std::size_t i = 0; i < std::min(item.regions.size(), most_regions); ++i) {
    const auto& region = item.regions[i];
    regions.push_back({rounded(region.x), rounded(region.y), rounded(region.width), rounded(region.height),
                       rounded(region.area), rounded(region.peak)});
  }
  return regions;
}

json colours_json(const HeatScale& scale) {
  json colours = json::array();
  for (const auto& colour : scale.colours) colours.push_back({colour[0], colour[1], colour[2]});
  return colours;
}

}  // namespace

GalleryWriter::GalleryWriter(Output& output, std::string title, GalleryOptions options)
    : output_(output), title_(std::move(title)), options_(std::move(options)) {
  if (options_.threshold && !std::isfinite(*options_.threshold))
    throw std::invalid_argument("gallery: the threshold is not finite");
  output_.write(with_page(title_, json(), page_beginning));
}

bool GalleryWriter::wants_pictures(double score) const {
  const bool flagged = options_.threshold && score >= *options_.threshold;
  return pictured_ < options_.most_pictures * (flagged ? 2 : 1);
}

void GalleryWriter::add(const GalleryItem& item) {
  if (finished_) throw std::logic_error("gallery: an image is added behind the end");
  check(item);
  json record = {{"id", shortened(item.id, most_item_text)},
                 {"label", shortened(item.label, most_item_text)},
                 {"score", item.score},
                 {"width", item.width},
                 {"height", item.height},
                 {"regions", regions_json(item)},
                 {"region_count", item.regions.size()}};
  if (item.p_value && std::isfinite(*item.p_value)) record["p_value"] = *item.p_value;
  std::string pictures;
  if (wants_pictures(item.score)) {
    for (std::size_t i = 0; i < std::size(panels); ++i) {
      const auto& [name, bytes] = panels[i];
      if ((item.*bytes).empty()) continue;
      kept_[i] = true;  // base64 needs no escaping
      pictures += (pictures.empty() ? "{\"" : ",\"") + std::string(name) + "\":\"" + base64(item.*bytes) + '"';
    }
  }
  output_.write("<script type=\"application/json\" class=\"item\">" + script_safe_json(record) + "</script>\n");
  if (!pictures.empty()) {
    output_.write("<script type=\"application/json\" class=\"pictures\">" + pictures + "}</script>\n");
    ++pictured_;
  }
  ++items_;
}

void GalleryWriter::finish() {
  if (finished_) throw std::logic_error("gallery: finished twice");
  finished_ = true;
  json data = {
      {"items", items_}, {"pictured", pictured_}, {"rule", shortened(options_.threshold_rule, most_item_text)}};
  data["threshold"] = options_.threshold ? json(*options_.threshold) : json(nullptr);
  data["panels"] = json::array();
  for (std::size_t i = 0; i < std::size(panels); ++i)
    if (kept_[i]) data["panels"].push_back(panels[i].first);
  data["normal"] = json::array();
  for (const auto& label : options_.normal_labels) data["normal"].push_back(shortened(label, most_item_text));
  data["facts"] = json::array();
  if (!options_.command.empty()) data["facts"].push_back({"Command", shortened(options_.command, most_item_text)});
  for (const auto& [name, value] : options_.facts) data["facts"].push_back({name, shortened(value, most_item_text)});
  if (options_.heat_scale && options_.heat_scale->colours.size() > 1)
    data["scale"] = {{"low", rounded(options_.heat_scale->low)},
                     {"high", rounded(options_.heat_scale->high)},
                     {"colours", colours_json(*options_.heat_scale)}};
  output_.write(with_page(title_, data, page_ending));
}

}  // namespace ae::report
