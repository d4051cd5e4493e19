// One or several tables streamed through a schema, block by block, at constant memory.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/reporter.hpp"
#include "data/tables/schema.hpp"
#include "recipe/sample_stream.hpp"

namespace ae::recipe {

class TableStream final : public SampleStream {
 public:
  // How an input becomes rows; empty: as tables are read.
  using Opener = std::function<std::unique_ptr<data::RowSource>(const std::string& input)>;
  // The schema must outlive the stream.
  TableStream(const data::Schema& schema, StreamOptions options, Reporter& reporter, Opener opener = {});

  void for_each(const Visit& visit) override;
  std::vector<std::int64_t> count(const std::function<void()>& visit) override;
  bool heeds_reading() const override { return true; }
  bool has_labels() const override { return reader_->has_label(); }
  BadSamples bad() const override { return bad_; }
  std::string observed_text(std::int64_t sample, std::size_t element) const override;
  std::string value_text(std::size_t element, double value, Digits digits) const override;
  std::unique_ptr<SampleCopy> copy(Output& output, std::vector<std::string> extra_columns, Digits digits) override;

 private:
  class Copy;
  void open(const std::string& input, Reporter& reporter);
  std::string written(std::string number) const;

  const data::Schema& schema_;
  StreamOptions options_;
  Reporter& reporter_;
  Opener opener_;
  std::vector<const data::Column*> columns_;  // of the elements
  std::int64_t block_rows_ = 1;
  // Of the input being visited: while blocks are read ahead, it may be asked for nothing but what does not depend on
  // the row it is at.
  std::unique_ptr<data::TableReader> reader_;
  std::vector<std::size_t> file_columns_;  // in it, of the elements
  const data::Block* block_ = nullptr;     // being visited
  BadSamples bad_;
};

}  // namespace ae::recipe
