#include "data/images/layouts.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "base/error.hpp"
#include "base/files.hpp"
#include "base/text.hpp"
#include "data/images/folders.hpp"
#include "data/images/mask_files.hpp"
#include "data/options.hpp"

namespace ae::data {
namespace {

namespace fs = std::filesystem;
using Names = std::span<const std::string>;

constexpr std::size_t kIdsInALine = 5;

bool is_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

std::string name_of(const fs::path& folder) { return folder.filename().string(); }

bool is_good(const fs::path& folder) { return meaning_of_folder(name_of(folder)) == FolderMeaning::good; }

// The folders of images that training takes, of these classes: all when none has a label that is asked for.
std::vector<fs::path> training_classes(const std::vector<fs::path>& classes, Names normal) {
  std::vector<fs::path> chosen;
  for (const auto& folder : classes) {
    if (normal.empty() ? is_good(folder) : label_matches(name_of(folder), normal)) chosen.push_back(folder);
  }
  return chosen.empty() ? classes : chosen;
}

std::vector<fs::path> classes_in(const fs::path& folder) {
  auto classes = folders_in(folder);
  std::erase_if(classes, [](const auto& one) { return meaning_of_folder(name_of(one)) == FolderMeaning::masks; });
  return classes;
}

fs::path parent_of(const fs::path& folder) { return (folder / "..").lexically_normal(); }

std::string own_name(const fs::path& folder) {
  const fs::path absolute = fs::absolute(folder).lexically_normal();
  return name_of(absolute.has_filename() ? absolute : absolute.parent_path());
}

// What to write to give the whole data set instead of a part of it.
std::string parent_text(const fs::path& folder) {
  std::string parent = parent_of(folder).string();
  if (parent.size() > 1 && parent.ends_with('/')) parent.pop_back();
  return parent;
}

std::string names_text(const std::vector<fs::path>& folders) {
  std::vector<std::string> names;
  for (const auto& folder : folders) names.push_back(printable(name_of(folder)));
  return join(names, ", ", kIdsInALine);
}

// Adds what lies below `folder`, with ids below `root` and the label that `label` tells of a path below `folder`.
template <typename LabelOf>
void add(ImageListing& listing, const fs::path& folder, const fs::path& root, LabelOf label) {
  const auto content = content_below(folder);
  for (const auto& image : content.images) {
    listing.files.push_back({image, id_below(image, root), label(id_below(image, folder)), {}});
  }
  listing.notes.add(content.others, root);
  if (const auto line = masks_line(content, root); !line.empty()) listing.notes.lines.push_back(line);
}

// Gives the images from `begin` on their masks in `folder`, where each goes by the name that `name_of_image` tells.
template <typename NameOf>
void add_masks(ImageListing& listing, std::size_t begin, const fs::path& folder, NameOf name_of_image) {
  if (folder.empty()) return;
  const MaskFolder masks(folder);
  std::vector<std::string> names;
  for (auto i = begin; i < listing.files.size(); ++i) {
    names.push_back(without_extension(name_of_image(listing.files[i])));
    listing.files[i].masks = masks.find({&names.back(), 1});
  }
  listing.notes.masks_left_over = masks.left_over(names);
}

void require_images(const ImageListing& listing, const fs::path& folder, std::string_view part) {
  if (!listing.files.empty()) return;
  throw InputError(folder.string() + ": no images in its " + std::string(part) + "; expected " +
                   std::string(kImageKinds) + " files there");
}

// --- train and test, with a folder for each class --------------------------------------------------------------------

struct Split {
  fs::path train, test, masks;  // empty: there is none

  explicit Split(const fs::path& root) {
    static constexpr std::string_view kTrain[]{"train", "training"};
    static constexpr std::string_view kTest[]{"test_public", "test", "testing"};
    train = child(root, kTrain);
    test = child(root, kTest);
    if (!test.empty()) masks = child(test, kMaskFolders);
    if (masks.empty()) masks = child(root, kMaskFolders);
  }
  // Whatever the case, as copies of a data set differ in it.
  bool has(std::string_view training_class) const { return holds(train, training_class); }
  bool tests(std::string_view test_class) const { return holds(test, test_class); }

 private:
  static bool holds(const fs::path& part, std::string_view name) {
    return !part.empty() && !child(part, std::array{name}).empty();
  }
};

bool is_mvtec_ad_2(const fs::path& root) {
  const Split split(root);
  return split.has("good") && lower_case(name_of(split.test)) == "test_public";
}
bool is_mvtec_loco(const fs::path& root) {
  const Split split(root);
  return split.has("good") && (split.tests("logical_anomalies") || split.tests("structural_anomalies"));
}
bool is_btad(const fs::path& root) {
  const Split split(root);
  return split.has("ok") && (split.tests("ok") || split.tests("ko"));
}
bool is_mvtec_ad(const fs::path& root) { return Split(root).has("good"); }

bool is_split(const fs::path& root) {
  const Split split(root);
  if (split.train.empty()) return false;
  const auto classes = folders_in(split.train);
  return std::any_of(classes.begin(), classes.end(), is_good);
}

void add_test_part(ImageListing& listing, const Split& split, const fs::path& root) {
  const auto begin = listing.files.size();
  add(listing, split.test, root, [](const std::string& id) { return first_part(id); });
  add_masks(listing, begin, split.masks, [&](const ImageFile& file) { return id_below(file.path, split.test); });
}

ImageListing list_split(const fs::path& root, Purpose purpose, Names normal) {
  const Split split(root);
  ImageListing listing;
  if (purpose == Purpose::training) {
    const auto chosen = training_classes(classes_in(split.train), normal);
    for (const auto& folder : chosen) {
      add(listing, folder, root, [&](const std::string&) { return name_of(folder); });
    }
    require_images(listing, root, name_of(split.train) + "/" + names_text(chosen));
    listing.notes.lines.push_back("trained on " + name_of(split.train) + "/" + names_text(chosen));
    return listing;
  }
  if (split.test.empty()) throw InputError(root.string() + ": has no folder \"test\" with images to score");
  add_test_part(listing, split, root);
  require_images(listing, root, name_of(split.test));
  listing.notes.lines.push_back("the images in " + name_of(split.test) + " are scored, its folders are labels");
  return listing;
}

// --- VisA ------------------------------------------------------------------------------------------------------------

// OBJECT/Data/Images/{Normal,Anomaly}, OBJECT/Data/Masks/Anomaly; beside the objects, split_csv/1cls.csv.
struct VisaObject {
  fs::path normal, anomaly, masks;

  explicit VisaObject(const fs::path& folder) {
    const auto below = [](const fs::path& from, std::string_view name) {
      return from.empty() ? fs::path() : child(from, std::array{name});
    };
    const auto data = below(folder, "data");
    const auto images = below(data, "images");
    normal = below(images, "normal");
    anomaly = below(images, "anomaly");
    masks = below(below(data, "masks"), "anomaly");
  }
};

fs::path split_file(const fs::path& root) { return root / "split_csv" / "1cls.csv"; }

bool has_split_file(const fs::path& root) {
  std::error_code ignored;
  return fs::is_regular_file(split_file(root), ignored);
}

bool is_visa_object(const fs::path& folder) { return !VisaObject(folder).normal.empty(); }

bool is_visa(const fs::path& folder) { return has_split_file(folder) || is_visa_object(folder); }

// `object`: the only one to be taken, whose folder ids are below; "" takes all that are there.
ImageListing list_visa_split(const fs::path& root, const std::string& object, Purpose purpose, Names normal) {
  constexpr std::uint64_t kMostBytes = 1u << 28;
  const bool training = purpose == Purpose::training;
  ImageListing listing;
  std::vector<ImageFile> others;  // of the training part, with other labels than those asked for
  for (const auto& row :
       parse_split(read_file(split_file(root), FileKind::data, kMostBytes), split_file(root).string())) {
    if (row.training != training || !(object.empty() ? is_folder(root / row.object) : row.object == object)) continue;
    const fs::path path = root / row.image;
    ImageFile file{path, object.empty() ? row.image : id_below(path, root / object), row.label, {}};
    if (!training && !row.mask.empty()) file.masks.push_back(root / row.mask);
    const bool wanted = !training || (normal.empty() ? meaning_of_folder(row.label) == FolderMeaning::good
                                                     : label_matches(row.label, normal));
    (wanted ? listing.files : others).push_back(std::move(file));
  }
  if (listing.files.empty()) listing.files = std::move(others);
  require_images(listing, root, "split_csv/1cls.csv for " + (object.empty() ? "the folders here" : object));
  listing.notes.lines.push_back(std::string(training ? "trained on" : "scored are") + " the images that " +
                                split_file(root).string() + " names for it");
  return listing;
}

ImageListing list_visa_object(const fs::path& folder, Purpose purpose) {
  const VisaObject object(folder);
  ImageListing listing;
  add(listing, object.normal, folder, [](const std::string&) { return "normal"; });
  const bool both = purpose == Purpose::scoring && !object.anomaly.empty();
  if (both) {
    const auto begin = listing.files.size();
    add(listing, object.anomaly, folder, [](const std::string&) { return "anomaly"; });
    add_masks(listing, begin, object.masks, [&](const ImageFile& file) { return id_below(file.path, object.anomaly); });
  }
  require_images(listing, folder, "Data/Images/Normal");
  listing.notes.lines.emplace_back(purpose == Purpose::training
                                       ? "trained on Data/Images/Normal"
                                       : "all of Data/Images is scored, which holds what a model was trained on: "
                                         "split_csv/1cls.csv beside it would tell them apart");
  return listing;
}

ImageListing list_visa(const fs::path& folder, Purpose purpose, Names normal) {
  if (has_split_file(folder)) return list_visa_split(folder, "", purpose, normal);
  const fs::path parent = parent_of(folder);
  if (has_split_file(parent)) return list_visa_split(parent, own_name(folder), purpose, normal);
  return list_visa_object(folder, purpose);
}

// --- a folder for each class -----------------------------------------------------------------------------------------

bool is_classes(const fs::path& root) {
  if (has_images_right_below(root)) return false;
  const auto classes = classes_in(root);
  return classes.size() > 1 && std::any_of(classes.begin(), classes.end(), is_good);
}

constexpr Layout kLayouts[]{
    {"MVTec AD 2", true, is_mvtec_ad_2, list_split},
    {"MVTec LOCO", true, is_mvtec_loco, list_split},
    {"BTAD", true, is_btad, list_split},
    {"MVTec AD", true, is_mvtec_ad, list_split},
    {"VisA", true, is_visa, list_visa},
    {"train and test", true, is_split, list_split},
    {"a folder for each class", false, is_classes, list_classes},
};

// --- VisA's table ----------------------------------------------------------------------------------------------------

// Cells of one line; quotes as RFC 4180 has them, within a line.
std::vector<std::string> cells_of(std::string_view line, const std::string& place) {
  std::vector<std::string> cells(1);
  bool quoted = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (quoted && c == '"' && i + 1 < line.size() && line[i + 1] == '"') {
      cells.back() += line[++i];
    } else if (c == '"' && (quoted || cells.back().empty())) {
      quoted = !quoted;
    } else if (c == ',' && !quoted) {
      cells.emplace_back();
    } else {
      cells.back() += c;
    }
  }
  if (quoted) throw InputError(place + "a quote is not closed; expected object,split,label,image,mask");
  return cells;
}

class SplitTable {
 public:
  explicit SplitTable(const std::string& name) : name_(name) {}

  void read(std::string_view line) {
    ++line_;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line_ == 1 && line.starts_with("\xEF\xBB\xBF")) line.remove_prefix(3);
    if (line.empty()) return;
    if (line.find('\0') != std::string_view::npos) throw InputError(place() + "a NUL byte; expected text");
    const auto cells = cells_of(line, place());
    if (!has_header_) return read_header(cells);
    if (cells.size() != columns_) {
      throw InputError(place() + "found " + std::to_string(cells.size()) + " cells, expected " +
                       std::to_string(columns_));
    }
    SplitRow row{cells[at_[0]], false, cells[at_[2]], cells[at_[3]], cells[at_[4]]};
    const std::string& split = cells[at_[1]];
    if (split != "train" && split != "test") {
      throw InputError(place() + "split is " + ae::quoted(split) + ", expected \"train\" or \"test\"");
    }
    row.training = split == "train";
    for (const auto* path : {&row.image, &row.mask}) {
      const fs::path normal = fs::path(*path).lexically_normal();
      if (normal.is_absolute() || (!normal.empty() && *normal.begin() == "..")) {
        throw InputError(place() + ae::quoted(*path) + " leads out of the data set's folder");
      }
    }
    if (!has_image_extension(row.image)) {
      throw InputError(place() + "image is " + ae::quoted(row.image) + ", expected the name of a " +
                       std::string(kImageKinds) + " file");
    }
    if (const auto [earlier, is_new] = seen_.emplace(split + ' ' + row.image, line_); !is_new) {
      throw InputError(place() + ae::quoted(row.image) + " is listed already in line " +
                       std::to_string(earlier->second));
    }
    rows.push_back(std::move(row));
  }
  bool has_header() const { return has_header_; }

  std::vector<SplitRow> rows;

 private:
  std::string place() const { return name_ + ":" + std::to_string(line_) + ": "; }

  void read_header(const std::vector<std::string>& cells) {
    constexpr std::string_view kColumns[]{"object", "split", "label", "image", "mask"};
    for (std::size_t i = 0; i < std::size(kColumns); ++i) {
      const auto found = std::find(cells.begin(), cells.end(), kColumns[i]);
      if (found == cells.end()) {
        throw InputError(place() + "no column " + ae::quoted(kColumns[i]) +
                         "; expected object,split,label,image,mask, as VisA has them");
      }
      at_[i] = static_cast<std::size_t>(found - cells.begin());
    }
    columns_ = cells.size();
    has_header_ = true;
  }

  const std::string& name_;
  std::size_t line_ = 0;
  bool has_header_ = false;
  std::size_t columns_ = 0;
  std::map<std::string, std::size_t> seen_;
  std::array<std::size_t, 5> at_{};
};

}  // namespace

std::span<const Layout> layouts() { return kLayouts; }

const Layout* layout_of(const fs::path& folder) {
  const auto found = std::find_if(std::begin(kLayouts), std::end(kLayouts),
                                  [&](const Layout& layout) { return layout.recognises(folder); });
  return found == std::end(kLayouts) ? nullptr : found;
}

bool has_classes(const fs::path& folder, Names normal) {
  const auto classes = classes_in(folder);
  return std::any_of(classes.begin(), classes.end(),
                     [&](const auto& one) { return label_matches(name_of(one), normal); });
}

ImageListing list_classes(const fs::path& root, Purpose purpose, Names normal) {
  ImageListing listing;
  const auto classes = classes_in(root);
  const auto chosen = purpose == Purpose::training ? training_classes(classes, normal) : classes;
  for (const auto& folder : chosen) {
    add(listing, folder, root, [&](const std::string&) { return name_of(folder); });
  }
  require_images(listing, root, "folders " + names_text(chosen));
  if (purpose == Purpose::training) {
    listing.notes.lines.push_back("of its folders " + names_text(classes) + ", trained on " + names_text(chosen));
    return listing;
  }
  add_masks(listing, 0, child(root, kMaskFolders), [](const ImageFile& file) { return file.id; });
  listing.notes.lines.push_back("all of its folders are scored, and are labels: " + names_text(classes));
  return listing;
}

ImageListing list_class_folders(const fs::path& root) {
  const Split split(root);
  const fs::path& folder = !split.train.empty() && !split.test.empty() ? split.train : root;
  const auto classes = classes_in(folder);
  const std::string expected = "; expected a folder of " + std::string(kImageKinds) + " files for each class";
  if (has_images_right_below(folder))
    throw InputError(folder.string() + ": images lie in it" +
                     (classes.empty() ? "" : " beside the folders " + names_text(classes)) +
                     ", whose class is not told" + expected);
  ImageListing listing;
  for (const auto& one : classes) {
    add(listing, one, root, [&](const std::string&) { return name_of(one); });
  }
  if (listing.files.empty()) throw InputError(folder.string() + ": no images in folders below it" + expected);
  listing.notes.lines.push_back((folder == root ? "" : "of " + name_of(folder) + ", ") +
                                "the folders are the classes: " + names_text(classes));
  return listing;
}

bool is_test_part(const fs::path& folder) {
  const fs::path parent = parent_of(folder);
  return is_split(parent) && name_of(Split(parent).test) == own_name(folder);
}

ImageListing list_test_part(const fs::path& folder, Purpose purpose, Names normal) {
  Split split(parent_of(folder));
  split.test = folder;
  ImageListing listing;
  add_test_part(listing, split, folder);
  require_images(listing, folder, "folders");
  if (purpose == Purpose::scoring) return listing;
  const auto wanted = [&](const std::string& label) {
    return normal.empty() ? meaning_of_folder(label) == FolderMeaning::good : label_matches(label, normal);
  };
  ImageListing chosen{{}, listing.notes};
  std::set<fs::path> labels;
  for (const auto& file : listing.files) {
    if (!wanted(file.label)) continue;
    chosen.files.push_back(file);
    labels.insert(file.label);
  }
  if (!chosen.files.empty()) {
    chosen.notes.lines.push_back("trained on " + names_text({labels.begin(), labels.end()}) +
                                 " alone, of images to test with; those to train on are in " + name_of(split.train) +
                                 ": give " + ae::quoted(parent_text(folder), 200));
    return chosen;
  }
  if (!normal.empty()) return listing;
  throw InputError(folder.string() + ": none of its folders, " + names_text(classes_in(folder)) +
                   ", is named as good; train on the part with good images");
}

std::vector<SplitRow> parse_split(std::string_view text, const std::string& name) {
  SplitTable table(name);
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    table.read(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  if (!table.has_header()) throw InputError(name + ": is empty; expected object,split,label,image,mask");
  return std::move(table.rows);
}

}  // namespace ae::data
