using Llama3Cluster.Kernels.Cpu.Simd;
using Llama3Cluster.Kernels.Formats;

namespace Llama3Cluster.Kernels.Cpu.Panels;

/// <summary>Which panel format belongs to which weight format.</summary>
internal static unsafe class PanelFormats
{
    /// <summary>Bytes of all panels of a matrix.</summary>
    public static long BytesOf(TensorData matrix) => Panel.CountOf(matrix.Rows) * (matrix.Format switch
    {
        WeightFormat.F32 => PanelPacker<PanelPlain<F32Loader>>.PanelBytes(BlocksOf(matrix)),
        WeightFormat.F16 => PanelPacker<PanelPlain<F16Loader>>.PanelBytes(BlocksOf(matrix)),
        WeightFormat.BF16 => PanelPacker<PanelPlain<Bf16Loader>>.PanelBytes(BlocksOf(matrix)),
        WeightFormat.Q8_0 => PanelPacker<PanelQ8>.PanelBytes(BlocksOf(matrix)),
        WeightFormat.Q4_0 => PanelPacker<PanelQ4>.PanelBytes(BlocksOf(matrix)),
        WeightFormat.Q4_K => PanelPacker<PanelQ4K>.PanelBytes(BlocksOf(matrix)),
        WeightFormat.Q5_K => PanelPacker<PanelQ5K>.PanelBytes(BlocksOf(matrix)),
        WeightFormat.Q6_K => PanelPacker<PanelQ6K>.PanelBytes(BlocksOf(matrix)),
        _ => throw Unknown(matrix.Format),
    });

    /// <summary>Fills all panels of a matrix with every thread of the pool.</summary>
    public static void Pack(TensorData matrix, byte* panels, WorkerPool pool)
    {
        switch (matrix.Format)
        {
            case WeightFormat.F32:
                Pack<PanelPlain<F32Loader>>(matrix, panels, pool);
                break;
            case WeightFormat.F16:
                Pack<PanelPlain<F16Loader>>(matrix, panels, pool);
                break;
            case WeightFormat.BF16:
                Pack<PanelPlain<Bf16Loader>>(matrix, panels, pool);
                break;
            case WeightFormat.Q8_0:
                Pack<PanelQ8>(matrix, panels, pool);
                break;
            case WeightFormat.Q4_0:
                Pack<PanelQ4>(matrix, panels, pool);
                break;
            case WeightFormat.Q4_K:
                Pack<PanelQ4K>(matrix, panels, pool);
                break;
            case WeightFormat.Q5_K:
                Pack<PanelQ5K>(matrix, panels, pool);
                break;
            case WeightFormat.Q6_K:
                Pack<PanelQ6K>(matrix, panels, pool);
                break;
            default:
                throw Unknown(matrix.Format);
        }
    }

    /// <summary>What is thrown for a format that has no panels.</summary>
    public static NotSupportedException Unknown(WeightFormat format) => new($"weights of format {format} have no panels");

    private static int BlocksOf(TensorData matrix) => Panel.BlocksOf(matrix.Columns);

    private static void Pack<TF>(TensorData matrix, byte* panels, WorkerPool pool)
        where TF : struct, IPanelFormat
    {
        var job = new PackJob<TF>
        {
            Matrix = (byte*)matrix.Address,
            RowBytes = matrix.RowBytes,
            Outputs = matrix.Rows,
            Blocks = BlocksOf(matrix),
            Panels = panels,
        };
        pool.Run(&job, Panel.CountOf(matrix.Rows));
    }
}
