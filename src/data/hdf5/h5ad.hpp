// .h5ad files of AnnData, written as anndata 0.8 and later write them: every group and array says how it is encoded.
//
// What is added goes out in pieces; memory does not grow with the rows. The same calls give the same bytes. All may
// throw RunError, which tells why the file cannot be written.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.hpp"
#include "data/counts/writer.hpp"

namespace ae::data {

// .h5ad: about.layer as a layer, float32, dense or (about.sparse) in CSR. If the input is an .h5ad file itself, all
// that it holds passes through, but a layer of that name; otherwise X is what was counted, obs and var are the names.
// Of raw counts (about.input_layer) raw/X and raw/var become X and var, and what belongs to other genes is left out.
extern const MatrixFormat kH5adMatrix;

// Whether `path` is a file of AnnData, as far as its groups tell.
bool is_h5ad(const std::filesystem::path& path);

class H5adFile {
 public:
  // UsageError for an output that is no file.
  explicit H5adFile(Output& output);
  ~H5adFile();  // without finish() what is there is of no use
  H5adFile(const H5adFile&) = delete;
  H5adFile& operator=(const H5adFile&) = delete;

  // One of these, first. A new file; ...
  void begin();
  // ... all that `input`, an .h5ad file, holds but what lies at `replaced` ("layers/imputed"), as it is; InputError
  // when it cannot be read; ...
  void pass_through(const std::filesystem::path& input, const std::string& replaced);
  // ... the same with raw/X and its genes instead of X, without what belongs to the genes of X.
  void pass_through_raw(const std::filesystem::path& input);

  void finish();  // after all parts below have been finished; Output::commit() is the caller's

  // A matrix of float32 at `place` ("obsm/X_ae"), row by row. With `rows` unknown (-1) as many as are added.
  class Dense {
   public:
    Dense(H5adFile& file, const std::string& place, std::int64_t rows, std::int64_t columns);
    ~Dense();
    void add(std::span<const float> row);
    void finish();

   private:
    struct State;
    std::unique_ptr<State> state_;
  };
  // The same in CSR.
  class Sparse {
   public:
    Sparse(H5adFile& file, const std::string& place, std::int64_t rows, std::int64_t columns);
    ~Sparse();
    void add(std::span<const std::int32_t> columns, std::span<const float> values);  // columns ascend
    void finish();

   private:
    struct State;
    std::unique_ptr<State> state_;
  };
  // A data frame at `place` ("obs"): its index and columns of texts, row by row. UsageError for names of columns that
  // AnnData cannot hold.
  class Frame {
   public:
    Frame(H5adFile& file, const std::string& place, const std::vector<std::string>& columns);
    ~Frame();
    void add(std::string_view name, std::span<const std::string> texts);  // a text for each column
    void finish();

   private:
    struct State;
    std::unique_ptr<State> state_;
  };

  struct State;  // for the parts

 private:
  std::unique_ptr<State> state_;
};

}  // namespace ae::data
