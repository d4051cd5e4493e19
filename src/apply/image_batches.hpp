// Images of several inputs, in batches that a network answers at once.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apply/named_files.hpp"
#include "base/error.hpp"
#include "base/reporter.hpp"
#include "recipe/checkpoint.hpp"
#include "recipe/image_kind.hpp"
#include "score/maps.hpp"

namespace ae::apply {

// What happens to an image that cannot be read. All are named; `stop` ends at the first one by InputError.
enum class Unreadable { report, ignore, stop };
Unreadable unreadable_named(std::string_view name);  // "report", "ignore" or "stop"

// UsageError when the model was not trained on images.
const recipe::ImageKind& image_kind(const recipe::Checkpoint& checkpoint);
// InputError when its images are scored by something else than error maps.
const score::MapHead& map_head(const recipe::Checkpoint& checkpoint);

struct NetworkImage {
  std::string id;
  std::int64_t number = 0;  // of all images of the inputs
  std::string label;
  std::string form;                     // see data::LoadedImage
  bool further = false;                 // the file holds more than was read
  std::optional<data::Image> original;  // when asked for
  data::Size size;                      // in original pixels
  at::Tensor network;                   // [channels, height, width], in network pixels
};

// InputError for an image that no classifier takes beside one of this size [channels, height, width], or whose pixels
// lie outside of [0, 1].
void check_for_classifier(const NetworkImage& image, const std::vector<std::int64_t>& size);
// All of them, checked so, as [n, channels, height, width].
at::Tensor stacked_for_classifier(const std::vector<NetworkImage>& images, const std::vector<std::int64_t>& size);

class ImageBatches {
 public:
  // Everything given must outlive this. For a model: of those that read one size alone, an image of another one cannot
  // be read.
  ImageBatches(const recipe::Checkpoint& checkpoint, const std::vector<std::string>& inputs, Unreadable unreadable,
               Reporter& reporter);
  // As images of this kind, for no model.
  ImageBatches(const recipe::ImageKind& kind, const std::vector<std::string>& inputs, Unreadable unreadable,
               Reporter& reporter);

  std::int64_t size() const { return size_; }  // of all inputs
  bool has_labels() const { return has_labels_; }
  std::vector<NamedImage> names() const;
  std::vector<std::filesystem::path> files() const;  // that hold the pixels
  // Warns of masks in the inputs that are of none of their images.
  void tell_masks_left_over() const;
  // Of the images [first, last), as far as they can be read, in order; loaded while others are visited. `doing`:
  // "scoring".
  void for_each(std::int64_t first, std::int64_t last, bool originals, const char* doing,
                const std::function<void(const std::vector<NetworkImage>&)>& visit);
  // To be called for a visited image that is of no use after all.
  void leave_out(const InputError& error);

  std::int64_t left_out() const { return left_out_; }
  const std::string& first_left_out() const { return first_left_out_; }
  // Warns, after all, of files of other forms than those of training, of files that are no images, and of further
  // pages; tells how many there are of the last two.
  std::int64_t tell_unseen();

 private:
  struct Batch {
    std::vector<NetworkImage> images;
    std::vector<InputError> unreadable;
    std::int64_t end = 0;  // of all images, how many are loaded
  };
  bool load(Batch& batch, bool originals);
  NetworkImage load(std::int64_t i, bool original) const;

  const recipe::ImageKind& kind_;
  std::optional<data::Size> only_size_;  // in network pixels
  Unreadable unreadable_;
  Reporter& reporter_;
  std::vector<std::unique_ptr<data::ImageSource>> sources_;
  bool has_labels_ = false;
  std::int64_t size_ = 0;
  std::int64_t next_ = 0, last_ = 0;  // of all images, to be loaded
  recipe::OtherForms other_forms_;
  std::vector<std::string> further_;  // ids
  std::int64_t left_out_ = 0;
  std::string first_left_out_;
};

}  // namespace ae::apply
