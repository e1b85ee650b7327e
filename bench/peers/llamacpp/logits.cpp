// Writes the logits of every position of a token sequence as llama.cpp computes them: float32, [tokens, vocabulary].
//
//   logits MODEL.gguf f16|f32 THREADS "1,2,3" FILE        the second argument is the format of the KV cache
#include <llama.h>

#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <string>
#include <vector>

static int fail(const char *message) {
    std::fprintf(stderr, "error: %s\n", message);
    return 1;
}

int main(int argc, char **argv) {
    if (argc != 6)
        return fail("usage: logits MODEL.gguf f16|f32 THREADS \"1,2,3\" FILE");
    std::vector<llama_token> ids;
    std::stringstream list(argv[4]);
    for (std::string id; std::getline(list, id, ',');)
        ids.push_back(std::atoi(id.c_str()));

    llama_log_set([](ggml_log_level, const char *, void *) {}, nullptr);
    llama_model *model = llama_model_load_from_file(argv[1], llama_model_default_params());
    if (!model)
        return fail("llama.cpp cannot load the model");

    llama_context_params params = llama_context_default_params();
    params.n_ctx = params.n_batch = params.n_ubatch = static_cast<uint32_t>(ids.size() < 64 ? 64 : ids.size());
    params.n_threads = params.n_threads_batch = std::atoi(argv[3]);
    params.type_k = params.type_v = std::string(argv[2]) == "f32" ? GGML_TYPE_F32 : GGML_TYPE_F16;
    llama_context *context = llama_init_from_model(model, params);
    if (!context)
        return fail("llama.cpp cannot make a context");

    llama_batch batch = llama_batch_init(static_cast<int32_t>(ids.size()), 0, 1);
    batch.n_tokens = static_cast<int32_t>(ids.size());
    for (int i = 0; i < batch.n_tokens; i++) {
        batch.token[i] = ids[i];
        batch.pos[i] = i;
        batch.n_seq_id[i] = 1;
        batch.seq_id[i][0] = 0;
        batch.logits[i] = true;
    }

    if (llama_decode(context, batch) != 0)
        return fail("llama.cpp cannot decode the tokens");
    const size_t vocabulary = static_cast<size_t>(llama_vocab_n_tokens(llama_model_get_vocab(model)));
    std::FILE *file = std::fopen(argv[5], "wb");
    for (int i = 0; file && i < batch.n_tokens; i++) {
        if (std::fwrite(llama_get_logits_ith(context, i), sizeof(float), vocabulary, file) != vocabulary)
            return fail("the logits cannot be written");
    }

    if (!file || std::fclose(file) != 0)
        return fail("the logits cannot be written");
    llama_batch_free(batch);
    llama_free(context);
    llama_model_free(model);
    return 0;
}
