using Llama3Cluster.Shards.Files;

namespace Llama3Cluster.Shards.Tests.Files;

public sealed class ModelFileOpenerTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void A_path_that_does_not_exist_must_be_named_with_what_was_looked_for()
    {
        string path = _folder.At("absent.gguf");
        ModelFileAssert.Refused(path, $"there is no file or folder {path}; a model is a .gguf file");
    }

    [Fact]
    public void Another_kind_of_file_must_be_refused() =>
        ModelFileAssert.Refused(_folder.Write("model.bin", "PK\u0003\u0004"), "neither ends in .gguf or .safetensors");

    [Fact]
    public void An_empty_file_must_be_refused() => ModelFileAssert.Refused(_folder.Write("model.gguf", ""), "is empty");

    [Fact]
    public void A_folder_without_a_configuration_must_be_refused() => ModelFileAssert.Refused(_folder.Path, "has no config.json");

    [Fact]
    public void A_folder_with_only_a_gguf_file_must_say_which_path_to_give()
    {
        string gguf = _folder.Write("a.gguf", "GGUF");
        ModelFileAssert.Refused(_folder.Path, $"give its own path: {gguf}");
    }

    [Fact]
    public void A_folder_without_weights_must_be_refused()
    {
        _folder.Write("config.json", TestSafetensors.Model().Config.ToJsonString());
        ModelFileAssert.Refused(_folder.Path, "neither model.safetensors nor model.safetensors.index.json");
    }

    [Fact]
    public void A_safetensors_file_without_a_configuration_must_be_refused() =>
        ModelFileAssert.Refused(_folder.Write("model.safetensors", TestSafetensors.Model().Build()), "no config.json beside");

    [Fact]
    public void An_empty_path_must_be_refused() => Assert.Throws<ArgumentException>(() => ModelFile.Open(" "));
}
