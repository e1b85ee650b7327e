using Llama3Cluster.Kernels.Formats;

namespace Llama3Cluster.Kernels.Cpu.Panels;

/// <summary>Which panel format belongs to which weight format.</summary>
internal static unsafe class PanelFormats
{
    /// <summary>Whether weights of a format are multiplied in panels.</summary>
    public static bool Has(WeightFormat format) => format.ElementsPerBlock() > 1;

    /// <summary>Bytes of all panels of a matrix.</summary>
    public static long BytesOf(TensorData matrix) => Panel.CountOf(matrix.Rows) * (matrix.Format switch
    {
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

    /// <summary>Blocks of a row.</summary>
    public static int BlocksOf(TensorData matrix) => matrix.Columns / Panel.BlockColumns;

    /// <summary>What is thrown for a format that has no panels.</summary>
    public static NotSupportedException Unknown(WeightFormat format) => new($"weights of format {format} have no panels");

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
