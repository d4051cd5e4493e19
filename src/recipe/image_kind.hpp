// Images: the one kind whose samples, tiles, are parts of what is scored.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "data/images/images.hpp"
#include "recipe/kind.hpp"

namespace ae::recipe {

class ImageKind final : public Kind {
 public:
  // `forms`: of the training images, see data::LoadedImage; empty: unknown.
  ImageKind(const data::Geometry& geometry, const data::ImageOptions& options, std::vector<std::string> forms);
  void save(Metadata& metadata) const override;
  std::unique_ptr<SampleStream> open(const StreamOptions&, Reporter&) const override { return nullptr; }

  const data::Geometry& geometry() const { return geometry_; }
  const std::vector<std::string>& forms() const { return forms_; }
  // The images of one input, as the config of the model says how they are read.
  std::unique_ptr<data::ImageSource> open_source(const std::string& input) const;

 private:
  data::Geometry geometry_;
  data::ImageOptions options_;
  std::vector<std::string> forms_;
};

// Images whose files are of other forms (bits, channels) than those that a model was trained on.
class OtherForms {
 public:
  explicit OtherForms(const ImageKind& kind) : kind_(kind) {}
  void note(const std::string& form, const std::string& id);
  std::string told() const;  // one line; "" when there are none

 private:
  struct Found {
    std::int64_t images;
    std::string first;
  };
  const ImageKind& kind_;
  std::map<std::string, Found> found_;
};

// "2 images hold further pages or frames, which are not looked at: a.tif, b.png"
std::string further_text(const std::vector<std::string>& ids);

}  // namespace ae::recipe
