#include "evaluate/details.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/counted.hpp"
#include "base/error.hpp"
#include "base/signals.hpp"
#include "base/text.hpp"
#include "data/tables/rows.hpp"
#include "evaluate/intervals.hpp"
#include "evaluate/pixel_maps.hpp"
#include "evaluate/pixel_roc.hpp"
#include "evaluate/roc.hpp"
#include "evaluate/truth_files.hpp"

namespace ae::evaluate {
namespace {

constexpr std::size_t kMostTypes = 100;
constexpr std::size_t kMostGroups = 50;
constexpr std::size_t kNamesInAMessage = 5;

std::string quoted_names(const std::vector<std::string>& names) {
  std::vector<std::string> shown;
  for (const auto& name : names) shown.push_back(ae::quoted(name, 100));
  return join(shown, ", ", kNamesInAMessage);
}

// The rows of the scores, and which part each belongs to.
class Rows {
 public:
  Rows(const LabeledRows& rows, const DetailOptions& options) : rows_(rows) {
    if (options.group_column.empty()) return;
    const auto of_id =
        options.manifest.empty() ? std::unordered_map<std::string, std::string>() : read_manifest(options);
    std::vector<std::string> unknown;
    for (const auto& row : rows.rows) {
      const auto found = of_id.find(std::string(plain_id(row.id)));
      if (!options.manifest.empty() && found == of_id.end()) {
        unknown.push_back(row.id);
        continue;
      }
      const std::string& name = options.manifest.empty() ? row.group : found->second;
      const auto [group, added] = number_of_.emplace(name, names_.size());
      if (added) names_.push_back(name);
      group_of_row_.push_back(group->second);
    }
    if (!unknown.empty())
      throw InputError(options.manifest.string() + ": no row for " + counted(unknown.size(), "image", "images") +
                       " of " + rows.name + ": " + quoted_names(unknown) + "; every scored image needs its group");
    if (names_.size() > kMostGroups)
      throw InputError((options.manifest.empty() ? rows.name : options.manifest.string()) + ": column " +
                       ae::quoted(options.group_column) + " makes " + std::to_string(names_.size()) +
                       " groups, expected at most " + std::to_string(kMostGroups) +
                       "; choose a column with fewer values");
  }

  std::size_t size() const { return rows_.rows.size(); }
  const IdentifiedRow& operator[](std::size_t i) const { return rows_.rows[i]; }
  bool anomaly(std::size_t i) const { return rows_.labels[rows_.rows[i].label].anomaly; }
  std::size_t group(std::size_t i) const { return group_of_row_[i]; }
  const std::vector<std::string>& groups() const { return names_; }
  const LabeledRows& all() const { return rows_; }

 private:
  static std::unordered_map<std::string, std::string> read_manifest(const DetailOptions& options) {
    const auto table = data::open_rows(options.manifest);
    const auto& columns = table->columns();
    const auto place = [&](std::string_view name) {
      return static_cast<std::size_t>(std::find(columns.begin(), columns.end(), name) - columns.begin());
    };
    std::size_t id = columns.size();
    for (const std::string_view name : {std::string_view(options.id_column), std::string_view("id"),
                                        std::string_view("file"), std::string_view("path"), std::string_view("image")})
      if (id == columns.size()) id = place(name);
    if (id == columns.size())
      throw InputError(table->name() + ": no column " + ae::quoted(options.id_column) +
                       ", \"file\", \"path\" or \"image\" with the images' ids; name it with --id-column");
    const std::size_t group = place(options.group_column);
    if (group == columns.size())
      throw InputError(table->name() + ": no column " + ae::quoted(options.group_column) + " to group by" +
                       did_you_mean(options.group_column, columns) + "; the columns are " + join(columns));
    std::unordered_map<std::string, std::string> result;
    while (table->next()) {
      const std::string name(plain_id(table->text(id)));
      const auto [row, added] = result.emplace(name, table->text(group));
      if (!added && row->second != table->text(group))
        throw InputError(table->where(id) + ": " + ae::quoted(name, 100) + " occurs a second time, in another group");
    }
    return result;
  }

  const LabeledRows& rows_;
  std::vector<std::string> names_;
  std::unordered_map<std::string, std::size_t> number_of_;
  std::vector<std::size_t> group_of_row_;
};

// --- scores ----------------------------------------------------------------------------------------------------------

Part part_of(std::string name, std::vector<double> anomalies, std::vector<double> normals, double threshold,
             double confidence) {
  const auto flagged = [&](const std::vector<double>& scores) {
    return static_cast<std::int64_t>(
        std::count_if(scores.begin(), scores.end(), [&](double score) { return score >= threshold; }));
  };
  Part part;
  part.name = std::move(name);
  part.anomalies = static_cast<std::int64_t>(anomalies.size());
  part.normals = static_cast<std::int64_t>(normals.size());
  part.counts.tp = flagged(anomalies);
  part.counts.fp = flagged(normals);
  part.counts.fn = part.anomalies - part.counts.tp;
  part.counts.tn = part.normals - part.counts.fp;
  if (part.anomalies == 0 || part.normals == 0) return part;
  const LabeledScores scores(std::move(anomalies), std::move(normals));
  part.auroc = auroc(scores, confidence);
  part.auprc = average_precision(scores);
  return part;
}

// --- pixels ----------------------------------------------------------------------------------------------------------

// An image whose pixels count, and its files.
struct PixelImage {
  std::size_t row = 0;
  std::filesystem::path map;
  std::vector<std::filesystem::path> masks;  // to be united
};

class PixelFigures {
 public:
  PixelFigures(const Rows& rows, const DetailOptions& options, Reporter& reporter)
      : rows_(rows), options_(options), reporter_(reporter) {}

  void fill(Details& details) {
    if (!find_files()) return;
    const int passes = options_.resamples > 0 ? 3 : 2;
    PixelSurvey survey;
    for_each_image(0, passes, [&](std::size_t, const ImagePixels& image) { survey.add(image); });
    const PixelBins bins(survey);
    const auto count = [&](std::size_t parts) { return std::vector<PixelCounts>(parts, PixelCounts(bins.size())); };
    std::vector<PixelCounts> of_label = count(rows_.all().labels.size());
    std::vector<PixelCounts> of_group = count(rows_.groups().size());
    for_each_image(1, passes, [&](std::size_t row, const ImagePixels& image) {
      of_label[rows_[row].label].add(bins, image);
      if (!of_group.empty()) of_group[rows_.group(row)].add(bins, image);
    });
    PixelCounts normal(bins.size());
    PixelCounts all(bins.size());
    for (std::size_t label = 0; label < of_label.size(); ++label) {
      all.add(of_label[label]);
      if (!rows_.all().labels[label].anomaly) normal.add(of_label[label]);
    }
    details.pixels = pixel_rates(all);
    if (!details.pixels) {
      reporter_.warning(options_.truth.string() + ": no mask has a defect pixel: no pixel figures");
      return;
    }
    for (Part& type : details.types) {
      PixelCounts counts = normal;
      for (std::size_t label = 0; label < of_label.size(); ++label)
        if (rows_.all().labels[label].value == type.name) counts.add(of_label[label]);
      type.pixels = pixel_rates(counts);
    }
    for (std::size_t group = 0; group < of_group.size(); ++group)
      details.groups[group].pixels = pixel_rates(of_group[group]);
    if (options_.resamples == 0) return;
    PixelBootstrap bootstrap(bins, all, options_.resamples, options_.seed);
    for_each_image(2, passes, [&](std::size_t, const ImagePixels& image) { bootstrap.add(image); });
    details.pixel_intervals = bootstrap.intervals(options_.confidence);
  }

 private:
  // False when there is nothing to compare maps with.
  bool find_files() {
    std::vector<std::string> without_map;
    std::vector<std::string> without_mask;
    std::size_t masks = 0;
    const TruthFiles truth(options_.truth);
    for (std::size_t row = 0; row < rows_.size(); ++row) {
      PixelImage image{row, map_file(options_.maps, rows_[row].id), truth.masks_of(rows_[row].id)};
      std::error_code ignored;
      const bool has_map = std::filesystem::exists(image.map, ignored);
      const bool needs_mask = rows_.anomaly(row) && image.masks.empty();
      masks += rows_.anomaly(row) && !image.masks.empty();
      if (!has_map) without_map.push_back(rows_[row].id);
      if (needs_mask) without_mask.push_back(rows_[row].id);
      if (has_map && !needs_mask) images_.push_back(std::move(image));
    }
    if (masks == 0) {
      if (!truth.empty() && !without_mask.empty()) throw truth.fits_none(without_mask.front());
      reporter_.warning(options_.truth.string() +
                        ": no mask of a defective image here (looked for TYPE/NAME_mask.png, "
                        "NAME.png and .npy): no pixel figures");
      return false;
    }
    report_missing(without_mask, options_.truth, "mask",
                   "every defective image needs one (TYPE/NAME_mask.png or NAME.png)");
    report_missing(without_map, options_.maps, "map", "ae-score --maps writes one for every image");
    warn_of_masks_left_over(truth);
    return true;
  }

  // The images of rows that are left out of the scores may well have masks.
  void warn_of_masks_left_over(const TruthFiles& truth) const {
    if (rows_.all().unlabeled > 0 || rows_.all().unscored > 0) return;
    std::vector<std::string> ids;
    for (std::size_t row = 0; row < rows_.size(); ++row) ids.push_back(rows_[row].id);
    if (const auto line = truth.left_over(ids); !line.empty()) reporter_.warning(line);
  }

  void report_missing(const std::vector<std::string>& ids, const std::filesystem::path& folder, std::string_view what,
                      std::string_view rule) const {
    if (ids.empty()) return;
    const std::string line = folder.string() + ": no " + std::string(what) + " for " +
                             counted(ids.size(), "image", "images") + ": " + quoted_names(ids);
    if (!options_.allow_missing)
      throw InputError(line + "; " + std::string(rule) + "; --allow-missing leaves such images out");
    reporter_.warning(line + "; left out of the pixel figures");
  }

  template <typename Use>
  void for_each_image(int pass, int passes, Use use) {
    const std::uint64_t in_all = static_cast<std::uint64_t>(passes) * images_.size();
    for (std::size_t i = 0; i < images_.size(); ++i) {
      throw_if_stopped("reading maps");
      reporter_.progress("images", static_cast<std::uint64_t>(pass) * images_.size() + i, in_all, "pixels");
      const PixelImage& image = images_[i];
      const PixelMap map = read_pixel_map(image.map);
      ImagePixels pixels{map.values, {}, {}, 0};
      DefectMask mask;
      DefectRegions regions;
      if (!image.masks.empty()) {
        mask = read_defect_masks(image.masks);
        check_size(image, map, mask);
        if (std::find(mask.defect.begin(), mask.defect.end(), 1) != mask.defect.end()) {
          if (!rows_.anomaly(image.row)) refuse_marked_normal(image);
          regions = find_defect_regions(mask);
          pixels = {map.values, mask.defect, regions.weight, regions.count};
        } else if (pass == 0 && rows_.anomaly(image.row)) {
          empty_masks_.push_back(image.masks.front().string());
        }
      }
      use(image.row, pixels);
    }
    reporter_.progress_done();
    if (pass == 0 && !empty_masks_.empty())
      reporter_.warning(counted(empty_masks_.size(), "defective image has", "defective images have") +
                        " a mask without a defect, so all their pixels count as normal: " + quoted_names(empty_masks_));
  }

  static void check_size(const PixelImage& image, const PixelMap& map, const DefectMask& mask) {
    if (map.width == mask.width && map.height == mask.height) return;
    const auto size = [](const auto& picture) {
      return std::to_string(picture.width) + "x" + std::to_string(picture.height);
    };
    throw InputError(image.map.string() + ": the map has " + size(map) + " pixels, but the mask " +
                     image.masks.front().string() + " has " + size(mask) + "; expected the same size (width x height)");
  }

  [[noreturn]] void refuse_marked_normal(const PixelImage& image) const {
    throw InputError(image.masks.front().string() + ": the mask of " + ae::quoted(rows_[image.row].id, 100) +
                     " marks defects, but its label " + ae::quoted(rows_.all().labels[rows_[image.row].label].value) +
                     " means normal; does --truth name the folder of masks?");
  }

  const Rows& rows_;
  const DetailOptions& options_;
  Reporter& reporter_;
  std::vector<PixelImage> images_;
  std::vector<std::string> empty_masks_;
};

// --- boxes -----------------------------------------------------------------------------------------------------------

class BoxFigures {
 public:
  BoxFigures(const Rows& rows, const DetailOptions& options, Reporter& reporter)
      : rows_(rows), options_(options), reporter_(reporter), regions_(read_regions(options.regions)) {
    std::error_code ignored;
    folder_ = std::filesystem::is_directory(options.boxes, ignored);
    if (!folder_) table_ = read_boxes(options.boxes, options.id_column);
    std::unordered_set<std::string_view> ids;
    for (std::size_t row = 0; row < rows.size(); ++row) ids.insert(plain_id(rows[row].id));
    std::vector<std::string> unknown;
    for (const auto& [id, regions] : regions_)
      if (!ids.contains(id)) unknown.push_back(id);
    // Rows without a label are left out of the scores, so their regions may well be here.
    if (!unknown.empty() && rows.all().unlabeled == 0)
      throw InputError(options.regions.string() + ": regions of " + counted(unknown.size(), "image", "images") +
                       " that " + rows.all().name + " does not have: " + quoted_names(unknown) +
                       "; give the scores and regions of one run");
  }

  void fill(Details& details) {
    std::vector<BoxCounts> of_group(rows_.groups().size());
    BoxCounts all;
    std::vector<std::string> missing;
    for (std::size_t row = 0; row < rows_.size(); ++row) {
      const bool defective = rows_.anomaly(row);
      const auto boxes = defective ? boxes_of(rows_[row].id) : std::vector<Box>();
      if (!boxes) {
        missing.push_back(rows_[row].id);
        continue;
      }
      const auto found = regions_.find(plain_id(rows_[row].id));
      const std::vector<FoundRegion> regions = found == regions_.end() ? std::vector<FoundRegion>() : found->second;
      all.add(*boxes, regions, defective, options_.box_rule);
      if (!of_group.empty()) of_group[rows_.group(row)].add(*boxes, regions, defective, options_.box_rule);
    }
    if (!missing.empty()) {
      const std::string line = options_.boxes.string() + ": no boxes for " +
                               counted(missing.size(), "defective image", "defective images") + ": " +
                               quoted_names(missing);
      if (!options_.allow_missing) throw InputError(line + "; --allow-missing leaves such images out");
      reporter_.warning(line + "; left out of the box figures");
    }
    details.boxes = all.rates(options_.confidence);
    details.box_rule = options_.box_rule.text;
    for (std::size_t group = 0; group < of_group.size(); ++group)
      details.groups[group].boxes = of_group[group].rates(options_.confidence);
  }

 private:
  std::optional<std::vector<Box>> boxes_of(const std::string& id) const {
    if (!folder_) {
      const auto found = table_.find(plain_id(id));
      return found == table_.end() ? std::nullopt : std::optional(found->second);
    }
    const auto file = find_box_file(options_.boxes, id);
    if (!file) return std::nullopt;
    auto boxes = read_boxes(*file, "");
    return boxes.empty() ? std::vector<Box>() : std::move(boxes.begin()->second);
  }

  const Rows& rows_;
  const DetailOptions& options_;
  Reporter& reporter_;
  RegionsOfImage regions_;
  BoxesOfImage table_;
  bool folder_ = false;
};

}  // namespace

Details details(const LabeledRows& labeled, const LabeledScores& all, double threshold, const DetailOptions& options,
                Reporter& reporter) {
  Details result;
  const auto types = std::count_if(labeled.labels.begin(), labeled.labels.end(),
                                   [](const LabelKind& label) { return !label.scores.empty(); });
  if (static_cast<std::size_t>(types) <= kMostTypes) {
    for (const auto& label : labeled.labels)
      if (!label.scores.empty())
        result.types.push_back(part_of(label.value, label.scores, {all.normals().begin(), all.normals().end()},
                                       threshold, options.confidence));
    std::sort(result.types.begin(), result.types.end(), [](const Part& a, const Part& b) { return a.name < b.name; });
  }
  const Rows rows(labeled, options);
  result.group_column = options.group_column;
  std::vector<std::array<std::vector<double>, 2>> scores(rows.groups().size());
  for (std::size_t row = 0; row < rows.size() && !scores.empty(); ++row)
    scores[rows.group(row)][rows.anomaly(row)].push_back(rows[row].score);
  for (std::size_t group = 0; group < scores.size(); ++group)
    result.groups.push_back(part_of(rows.groups()[group], std::move(scores[group][1]), std::move(scores[group][0]),
                                    threshold, options.confidence));
  if (!options.boxes.empty()) BoxFigures(rows, options, reporter).fill(result);
  if (!options.maps.empty()) PixelFigures(rows, options, reporter).fill(result);
  std::sort(result.groups.begin(), result.groups.end(), [](const Part& a, const Part& b) { return a.name < b.name; });
  return result;
}

}  // namespace ae::evaluate
