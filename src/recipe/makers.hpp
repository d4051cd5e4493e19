// What the registry kinds() is made of, and what the files of its kinds share.
#pragma once

#include <memory>
#include <string>

#include "evaluate/model_file.hpp"
#include "recipe/kind.hpp"

namespace ae::recipe {

extern const config::Entry<KindOptions> kTableKind;
extern const config::Entry<KindOptions> kImageKind;
extern const config::Entry<KindOptions> kCountsKind;
extern const config::Entry<KindOptions> kArrayKind;
extern const config::Entry<KindOptions> kStructureKind;

// KindOptions around the data room's own options.
template <typename Options>
class KindOptionsOf : public KindOptions {
 public:
  Options& data() override { return options_; }
  const Options& data() const override { return options_; }

 private:
  Options options_;
};

using evaluate::entry, evaluate::json_entry;  // of the metadata

}  // namespace ae::recipe
