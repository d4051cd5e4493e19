// Writes sample plots and pages with the scores they show, for the browser test and for the eye.
//
//   report_samples DIR
//
// DIR/NAME.csv (id,score,label,regions for galleries; else score,label; the scores exactly as evaluated),
// DIR/NAME.html, DIR/NAME.svg for each sample.
#include <cmath>
#include <filesystem>
#include <iostream>

#include "base/files.hpp"
#include "base/random.hpp"
#include "base/text.hpp"
#include "report/gallery.hpp"
#include "report/roc.hpp"
#include "report/sample_boards.hpp"
#include "report/sample_scores.hpp"

namespace {

using namespace ae;

void write_sample(const std::filesystem::path& folder, const std::string& name, const evaluate::Assessment& assessment,
                  const report::ScoreSample& first) {
  std::string csv = "score,label\n";
  const auto append = [&](const std::vector<double>& scores, const char* label) {
    for (const double score : scores) csv += number_text(score) + "," + label + "\n";
  };
  append(first.anomalies, "1");
  append(first.normals, "0");
  write_file(folder / (name + ".csv"), csv);
  write_file(folder / (name + ".svg"), report::roc_svg(assessment));
  write_file(folder / (name + ".html"),
             report::roc_page({assessment,
                               "ae-roc " + first.name + " --report " + name + ".html",
                               {{"Version", "0.2.0"}},
                               {first.name + ": 3 rows without a label (\"NA\") are left out"},
                               evaluate::remarks(assessment)}));
}

// A gallery of `count` boards, every third of them defective.
void write_gallery(const std::filesystem::path& folder, const std::string& name, int count,
                   report::GalleryOptions options, bool labels = true) {
  std::string csv = "id,score,label,regions\n";
  auto output = Output::open(folder / (name + ".html"), true);
  options.facts = {{"Model", "boards/model.safetensors"}};
  report::GalleryWriter gallery(output, name == "hostile_gallery" ? report::hostile_name() : "Board inspection",
                                options);
  for (int i = 0; i < count; ++i) {
    auto item = report::sample_board(i);
    if (!labels) item.label = "";
    if (name == "hostile_gallery") item.id = item.label = report::hostile_name();
    csv += "\"" + std::string(name == "hostile_gallery" ? "hostile" : item.id) + "\"," + number_text(item.score) + "," +
           (name == "hostile_gallery" ? "x" : item.label) + "," + std::to_string(item.regions.size()) + "\n";
    gallery.add(item);
  }
  gallery.finish();
  output.commit();
  write_file(folder / (name + ".csv"), csv);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: report_samples DIR\n";
    return 2;
  }
  const std::filesystem::path folder = argv[1];
  std::filesystem::create_directories(folder);
  using namespace ae::report;
  const auto single = [&](const std::string& name, const ScoreSample& sample) {
    write_sample(folder, name, {{evaluated(sample)}, {}}, sample);
  };
  single("separated", separated_sample(212, 357));
  single("hard", hard_sample(300, 700, 0.74));
  single("tiny", tiny_sample());
  single("rare", hard_sample(40, 20000, 2.6));
  single("large", hard_sample(20000, 180000, 1.4));
  single("negative", negative_sample());
  single("equal", {"equal.csv", {1, 1}, {1, 1, 1}});
  single("extreme", {"extreme.csv", {1.7e308, 3, 1e-300}, {-1.7e308, 2, 5e-324}});
  single("steep", {"steep.csv", {1e200, 3, 2e-5}, {1e-300, 1e-8, 1e-7, 1e-7}});
  auto hostile = tiny_sample();
  hostile.name = hostile_name();
  single("hostile", hostile);
  GalleryOptions options;
  options.threshold = 0.02;
  options.threshold_rule = "99 % of held-out good images";
  options.heat_scale = sample_heat_scale();
  options.command = "ae-score runs/boards boards/test --report boards.html";
  write_gallery(folder, "boards_gallery", 120, options);
  write_gallery(folder, "unlabelled_gallery", 12, {}, false);
  write_gallery(folder, "hostile_gallery", 3, options);
  write_gallery(folder, "empty_gallery", 0, options);
  GalleryOptions undecided = options;
  undecided.threshold = std::nullopt;
  undecided.threshold_rule = "p-value of at most 0.01 against 10 held-out good images";
  write_gallery(folder, "undecided_gallery", 12, undecided);
  options.most_pictures = 10;
  write_gallery(folder, "many_gallery", 100, options);
  const auto better = hard_sample(300, 700, 1.5);
  const auto worse = hard_sample(300, 700, 0.9);
  write_sample(folder, "compared", compared(better, worse), better);
  single("apart", {"apart.csv", {5, 6, 7}, {1, 2, 3}});
  // Two anomalies at the top, one normal row, a third anomaly, and 99,999 normal rows below.
  ScoreSample faint{"faint.csv", {100'004, 100'003, 100'001}, {100'002}};
  for (int i = 1; i < 100'000; ++i) faint.normals.push_back(i);
  single("faint", faint);
  write_sample(folder, "several", several(8), hard_sample(300, 700, 0.4));
}
