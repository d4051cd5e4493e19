// What a classifier says of images before and after they are purified, and which of them detectors flag.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "apply/clean_images.hpp"
#include "apply/detectors.hpp"
#include "apply/image_batches.hpp"
#include "base/reporter.hpp"
#include "recipe/checkpoint.hpp"
#include "victim/class_labels.hpp"
#include "victim/classifier.hpp"

namespace ae::apply {

struct JudgeOptions {
  std::filesystem::path classifier;
  victim::ClassifierOptions input;
  std::string labels;                  // a file; "": those that the images bring along, if any
  std::vector<std::string> classes;    // names, in the classifier's order; none: those of its file, or numbers
  std::vector<std::string> detectors;  // see Detectors
  std::string clean;                   // images that nobody has changed, for the detectors' thresholds
  double false_positives = 0.01;       // the share of these that may be flagged
  double noise = 0.1;                  // by which each pixel of the clean images is changed, up or down, as a control
  std::uint64_t seed = 0;              // of that noise
};

struct DetectorFigures {
  std::string name;
  double threshold = 0;
  std::int64_t flagged = 0, clean_flagged = 0, noisy_flagged = 0;
};

// Counts of images. The four of labelled ones are those that end well: classified rightly, or flagged.
struct JudgeFigures {
  std::int64_t images = 0, labelled = 0;
  std::int64_t other_class = 0;  // purified they are of another class than before
  std::int64_t flagged = 0, clean = 0, clean_flagged = 0, noisy_flagged = 0;
  std::int64_t none = 0, detector = 0, purifier = 0, both = 0;
  std::int64_t votes = 1, one_draw = 0;  // of a random purifier; the second as `purifier`, by the first draw alone
  std::vector<DetectorFigures> detectors;
};

class PurifyJudge {
 public:
  // Opens the classifier at the first images. UsageError and InputError as of Classifier, LabelFile and Detectors.
  // Labels that images bring along count where `classes` is given, the classifier's file names all of them, or all of
  // them are numbers of classes.
  PurifyJudge(const recipe::Checkpoint& checkpoint, const JudgeOptions& options, const ImageBatches& images,
              Reporter& reporter);

  // Names of the columns of answers(), each behind a comma.
  std::string header() const;
  // For each image what stands in these columns; counts. `draws`: purified, once or several times, whose class is that
  // of most of them. InputError for images of other sizes than
  // the first one, and for pixels outside of [0, 1].
  std::vector<std::string> answers(const std::vector<NetworkImage>& images,
                                   const std::vector<std::vector<at::Tensor>>& draws,
                                   const std::vector<at::Tensor>& reconstructions);
  const JudgeFigures& figures() const { return figures_; }
  std::vector<std::filesystem::path> files() const;  // that hold the clean images
  void finish();                                     // warns of what was odd

 private:
  void open(const at::Tensor& examples);
  void calibrate();

  const recipe::Checkpoint& checkpoint_;
  const JudgeOptions& options_;
  Reporter& reporter_;
  std::optional<victim::LabelFile> labels_;
  bool labelled_ = false;  // images have labels
  Detectors detectors_;
  std::vector<std::string> names_;    // of classes
  std::vector<std::string> folders_;  // whose names are labels; none: images bring theirs along
  std::optional<CleanImages> clean_;
  std::optional<victim::Classifier> classifier_;
  std::vector<std::int64_t> size_;
  JudgeFigures figures_;
};

// The four shares and, of each detector, what it flags, for people; and all of it as a JSON object.
std::string judge_text(const JudgeFigures& figures, const JudgeOptions& options);
std::string judge_json(const JudgeFigures& figures, const JudgeOptions& options);

}  // namespace ae::apply
