using Llama3Cluster.Shards.Config;
using Llama3Cluster.Shards.Files;
using Llama3Cluster.Shards.Synthesis;

namespace Llama3Cluster.Shards.Tests.Synthesis;

public sealed class ModelShapesTests
{
    // The sizes that Meta's model cards and Hugging Face's pages state.
    [Theory]
    [InlineData("llama3-8b", 8_030_261_248)]
    [InlineData("llama3-70b", 70_553_706_496)]
    [InlineData("llama3.2-1b", 1_235_814_400)]
    public void A_shape_must_have_the_parameters_of_the_real_model(string name, long parameters)
    {
        LlamaConfig config = ModelShapes.Get(name);
        Assert.Equal(parameters, TensorShapes.Required(config).Sum(tensor =>
        {
            (int rows, int columns) = tensor.Role.ShapeIn(config);
            return (long)rows * columns;
        }));
    }

    [Fact]
    public void Every_shape_must_be_within_the_limits()
    {
        Assert.Equal(["llama3-8b", "llama3-70b", "llama3.2-1b", "tiny"], ModelShapes.Names);
        Assert.All(ModelShapes.Names, name => LlamaConfigLimits.Require(ModelShapes.Get(name), name));
    }
}
