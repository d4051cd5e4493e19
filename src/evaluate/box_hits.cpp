#include "evaluate/box_hits.hpp"

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>

#include "base/error.hpp"
#include "base/text.hpp"
#include "data/tables/rows.hpp"
#include "evaluate/intervals.hpp"
#include "evaluate/truth_files.hpp"

namespace ae::evaluate {
namespace {

double shared_area(const Box& a, const Box& b) {
  const double width = std::min(a.right, b.right) - std::max(a.left, b.left);
  const double height = std::min(a.bottom, b.bottom) - std::max(a.top, b.top);
  return std::max(0.0, width) * std::max(0.0, height);
}

double area(const Box& box) { return (box.right - box.left) * (box.bottom - box.top); }

// A table of boxes, column by name.
class BoxTable {
 public:
  explicit BoxTable(const std::filesystem::path& path) : rows_(data::open_rows(path)) {}

  std::optional<std::size_t> find(std::string_view column) const {
    const auto& names = rows_->columns();
    const auto found = std::find(names.begin(), names.end(), column);
    return found == names.end() ? std::nullopt : std::optional(static_cast<std::size_t>(found - names.begin()));
  }

  std::size_t require(std::string_view column, std::string_view expected) const {
    if (const auto found = find(column)) return *found;
    throw InputError(rows_->name() + ": no column " + ae::quoted(column) + did_you_mean(column, rows_->columns()) +
                     "; expected " + std::string(expected));
  }

  double number(std::size_t column) const {
    const auto value = rows_->has_numbers() ? rows_->number(column) : parse_number(rows_->text(column));
    if (value && std::isfinite(*value)) return *value;
    throw InputError(rows_->where(column) + ": " + ae::quoted(rows_->text(column)) +
                     " is not a coordinate; expected a finite number");
  }

  // The box by its sides or by corner and size.
  Box box(std::string_view expected) {
    if (!by_sides_) {
      by_sides_ = find("x1").has_value();
      for (const auto name : *by_sides_ ? std::array{"x1", "y1", "x2", "y2"} : std::array{"x", "y", "width", "height"})
        sides_.push_back(require(name, expected));
    }
    Box box{number(sides_[0]), number(sides_[1]), number(sides_[2]), number(sides_[3]), ""};
    if (!*by_sides_) {
      box.right += box.left;
      box.bottom += box.top;
    }
    if (box.right <= box.left || box.bottom <= box.top)
      throw InputError(rows_->where(sides_[2]) + ": a box without area" +
                       (*by_sides_ ? "; expected x1 < x2 and y1 < y2" : "; expected width and height above 0"));
    return box;
  }

  data::RowSource& rows() { return *rows_; }

 private:
  std::unique_ptr<data::RowSource> rows_;
  std::optional<bool> by_sides_;
  std::vector<std::size_t> sides_;
};

}  // namespace

BoxRule BoxRule::parse(std::string_view text) {
  const auto refuse = [&](std::string_view part) -> UsageError {
    const std::vector<std::string> names = {"centre", "overlap", "iou=0.5"};
    return UsageError("--box-hit: " + ae::quoted(part) + " is no rule" + did_you_mean(part, names) +
                      "; expected centre, overlap or iou=X with 0 < X <= 1, or several with commas");
  };
  BoxRule rule{false, false, 2, std::string(text)};
  for (std::string_view rest = text;;) {
    const auto comma = rest.find(',');
    const std::string_view part = rest.substr(0, comma);
    if (part == "centre") {
      rule.centre = true;
    } else if (part == "overlap") {
      rule.overlap = true;
    } else if (part.starts_with("iou=")) {
      const auto number = parse_number(part.substr(4));
      if (!number || !(*number > 0 && *number <= 1)) throw refuse(part);
      rule.iou = *number;
    } else {
      throw refuse(part);
    }
    if (comma == std::string_view::npos) return rule;
    rest.remove_prefix(comma + 1);
  }
}

bool BoxRule::matches(const FoundRegion& region, const Box& box) const {
  const double shared = shared_area(region.box, box);
  const bool inside = region.centre_x >= box.left && region.centre_x < box.right && region.centre_y >= box.top &&
                      region.centre_y < box.bottom;
  return (centre && inside) || (overlap && shared > 0) || shared >= iou * (area(region.box) + area(box) - shared);
}

BoxesOfImage read_boxes(const std::filesystem::path& path, const std::string& id_column) {
  constexpr std::string_view expected = "the columns x1, y1, x2, y2 or x, y, width, height";
  BoxTable table(path);
  BoxesOfImage result;
  const auto id = id_column.empty() ? std::nullopt : std::optional(table.require(id_column, expected));
  const auto type = table.find("type");
  while (table.rows().next()) {
    Box box = table.box(expected);
    if (type) box.type = table.rows().text(*type);
    result[id ? std::string(plain_id(table.rows().text(*id))) : ""].push_back(std::move(box));
  }
  return result;
}

RegionsOfImage read_regions(const std::filesystem::path& path) {
  constexpr std::string_view expected = "the columns id, x, y, width, height, as ae-score --regions writes them";
  BoxTable table(path);
  RegionsOfImage result;
  const std::size_t id = table.require("id", expected);
  const auto centroid_x = table.find("centroid_x");
  const auto centroid_y = table.find("centroid_y");
  while (table.rows().next()) {
    FoundRegion region{table.box(expected), 0, 0};
    region.centre_x = centroid_x ? table.number(*centroid_x) + 0.5 : (region.box.left + region.box.right) / 2;
    region.centre_y = centroid_y ? table.number(*centroid_y) + 0.5 : (region.box.top + region.box.bottom) / 2;
    result[std::string(plain_id(table.rows().text(id)))].push_back(region);
  }
  return result;
}

void BoxCounts::add(const std::vector<Box>& boxes, const std::vector<FoundRegion>& regions, bool defective,
                    const BoxRule& rule) {
  for (const Box& box : boxes) {
    const bool hit =
        std::any_of(regions.begin(), regions.end(), [&](const auto& one) { return rule.matches(one, box); });
    auto& type = types_[box.type];
    ++type.boxes;
    type.hit += hit;
    ++rates_.boxes;
    rates_.hit += hit;
  }
  const auto wrong = std::count_if(regions.begin(), regions.end(), [&](const FoundRegion& region) {
    return std::none_of(boxes.begin(), boxes.end(), [&](const Box& box) { return rule.matches(region, box); });
  });
  rates_.regions += static_cast<std::int64_t>(regions.size());
  ++(defective ? rates_.defective_images : rates_.normal_images);
  (defective ? rates_.false_on_defective : rates_.false_on_normal) += wrong;
  rates_.normal_images_with_regions += !defective && !regions.empty();
}

BoxRates BoxCounts::rates(double confidence) const {
  BoxRates result = rates_;
  result.hit_interval = wilson_interval(result.hit, result.boxes, confidence);
  for (const auto& [name, counts] : types_) result.types.push_back({name, counts.boxes, counts.hit});
  return result;
}

}  // namespace ae::evaluate
