// The door by which a kind of data comes in: what its config section says, how it is loaded for training, what a model
// keeps of it, and how new samples of it are read and written.
//
// Adding a kind: one file of this room with its KindOptions, Kind and SampleStream, its maker in makers.hpp, and one
// line in kinds(). Only that file, data/ and code for one kind alone, through as(), ask which kind it is.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/reporter.hpp"
#include "data/options.hpp"
#include "model/batch.hpp"
#include "recipe/corruption.hpp"
#include "recipe/sample_stream.hpp"
#include "score/maps.hpp"

namespace ae::recipe {

// Of a model file: names and texts.
using Metadata = std::map<std::string, std::string>;

// What a model knows of the data that it was made for.
class Kind {
 public:
  virtual ~Kind() = default;
  const model::Domain& domain() const { return domain_; }
  virtual void save(Metadata& metadata) const = 0;  // for KindOptions::restore()
  // New samples for this model; the kind must outlive the stream. Null when what is answered is larger than a sample,
  // so that programs need a way of their own (images, which are answered whole). UsageError when such inputs cannot be
  // read.
  virtual std::unique_ptr<SampleStream> open(const StreamOptions& options, Reporter& reporter) const = 0;
  // Whether SampleStream::copy() writes text; else it tells by the output's name what to write.
  virtual bool copies_are_text() const { return true; }
  // For the files that a kind brings along, and for no others: this as their own class, or null.
  template <typename T>
  const T* as() const {
    return dynamic_cast<const T*>(this);
  }

 protected:
  explicit Kind(model::Domain domain) : domain_(std::move(domain)) {}

 private:
  model::Domain domain_;
};

// Which of several classes each sample shows.
struct Classes {
  std::vector<std::string> names;                // two or more, in the order of class_names()
  std::vector<std::int64_t> training, held_out;  // of each sample the place in names
};

// The samples of a training run.
struct Dataset {
  std::unique_ptr<Kind> kind;
  std::unique_ptr<model::Samples> training;
  std::shared_ptr<model::Samples> held_out;  // may be empty
  std::string summary;                       // "178 training rows, 44 held out, 30 columns"
  std::string data_sha256;                   // of all that was read: the same for the same data
  // 0-based number in the input of each training sample; empty when they are parts of what has a number.
  std::vector<std::int64_t> training_numbers;
  // How often each sample counts in training, >= 0, not all 0; empty: once.
  std::vector<double> training_weights, held_out_weights;
  // Of samples that are parts of images: at most `most` of the held-out ones, whole.
  std::function<score::GoodImages(const CorruptionList& corruption, std::uint64_t seed, std::int64_t most)> good_images;

  std::optional<Classes> classes;  // where they were asked for: see KindOptions::load_classes()

  const model::Domain& domain() const { return kind->domain(); }
};

// The config section "/data" of one kind.
class KindOptions : public config::Section {
 public:
  virtual data::DataOptions& data() = 0;  // what every kind has
  virtual const data::DataOptions& data() const = 0;
  void fields(config::Fields& f) override { data().fields(f); }
  void check(std::vector<config::Problem>& problems) const override { data().check(problems); }

  // Errors: as the kind's loader says, all before any training. Threads share the work.
  virtual Dataset load(Reporter& reporter, data::HoldOut hold_out, int threads) const = 0;
  // The same with the classes of all samples, none of which is taken for more normal than others. UsageError where
  // the kind has no classes, or these data tell none.
  virtual Dataset load_classes(Reporter& reporter, data::HoldOut hold_out, int threads) const;
  // From what save() left. Trusts nothing: InputError, which tells the entry and what is wrong with it.
  virtual std::unique_ptr<Kind> restore(const Metadata& metadata) const = 0;
};

std::span<const config::Entry<KindOptions>> kinds();  // table, images, counts, arrays, structures

}  // namespace ae::recipe
